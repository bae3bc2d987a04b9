/** The S3 store against a strict fake that can be made to fail. What a real server does is in s3-real.test.ts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { equalBytes, isPumiceError, utf8, type ETag } from "../../src/base/mod.ts";
import { openObjectStore } from "../../src/host/open-object-store.ts";
import { s3FromEnvironment, type S3ObjectStoreOptions } from "../../src/host/s3/options.ts";
import { PUT_ID_HEADER } from "../../src/host/s3/put-id.ts";
import { S3ObjectStore } from "../../src/host/s3/s3-object-store.ts";
import { sign, type S3Credentials } from "../../src/host/s3/sigv4.ts";
import { parseXml } from "../../src/host/s3/xml.ts";
import { names, objectStoreConformance, pattern, text } from "./object-store-conformance.ts";
import { bench, HastyClock, type Bench } from "./support/s3-bench.ts";
import { FakeS3, type FakeFault, type FakeRequest } from "./support/fake-s3.ts";

/** The fault for the requests chosen, the first `count` of them. */
function times(
  count: number,
  fault: FakeFault,
  chosen: (request: FakeRequest) => boolean = () => true,
): (r: FakeRequest) => FakeFault | undefined {
  let left = count;
  return (request) => (chosen(request) && left-- > 0 ? fault : undefined);
}

const isPut = (request: FakeRequest): boolean => request.method === "PUT";
const absent = { kind: "absent" } as const;

for (const isCeph of [false, true]) {
  objectStoreConformance(`S3, a strict fake with ${isCeph ? "Ceph's" : "Amazon's"} habits`, async () => {
    const { fake, store } = await bench({ prefix: "a b/ü/" });
    fake.isCeph = isCeph;
    return {
      store,
      async close() {
        await store.close();
        await fake.stop();
      },
    };
  });
}

describe("S3 signatures", () => {
  const credentials: S3Credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
  const scope = { region: "us-east-1", nowMs: Date.UTC(2013, 4, 24) };
  const host = "examplebucket.s3.amazonaws.com";
  const emptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const signatureOf = (request: Parameters<typeof sign>[0]) =>
    /Signature=(.*)$/.exec(sign(request, credentials, scope)["authorization"] ?? "")?.[1];

  test("they are those of Amazon's four published examples", () => {
    const base = { method: "GET", path: "/", query: [], headers: { host }, bodySha256: emptySha256 } as const;
    assert.equal(
      signatureOf({ ...base, path: "/test.txt", headers: { host, range: "bytes=0-9" } }),
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    assert.equal(
      signatureOf({
        method: "PUT",
        path: "/test%24file.text",
        query: [],
        headers: { host, date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
        bodySha256: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      }),
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    assert.equal(signatureOf({ ...base, query: [["lifecycle", ""]] }), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    const query = [
      ["prefix", "J"],
      ["max-keys", "2"],
    ] as const;
    assert.equal(signatureOf({ ...base, query }), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  });

  test("a session token is sent and signed", () => {
    const headers = sign(
      { method: "GET", path: "/", query: [], headers: { host }, bodySha256: emptySha256 },
      { ...credentials, sessionToken: "tok" },
      scope,
    );
    assert.equal(headers["x-amz-security-token"], "tok");
    assert.match(headers["authorization"] ?? "", /SignedHeaders=[^,]*x-amz-security-token/);
  });
});

describe("S3 answers as XML", () => {
  test("elements, text, entities, attributes, namespaces and empty elements are read", () => {
    const root = parseXml(
      `\ufeff<?xml version="1.0"?>\n<!-- c --><a:R xmlns="u" q='1'><K>a&amp;b &lt;&#x41;&#66;&quot;&gt;</K><E/><K>é</K></a:R>\n`,
    );
    assert.deepEqual(
      root?.children.map((child) => [child.name, child.text]),
      [
        ["K", 'a&b <AB">'],
        ["E", ""],
        ["K", "é"],
      ],
    );
    assert.equal(root?.name, "R");
  });

  test("half a document, and what is none, is undefined", () => {
    const whole = "<R><K>a&amp;b</K><K>c</K></R>";
    for (let end = 0; end < whole.length; end++) assert.equal(parseXml(whole.slice(0, end)), undefined, whole.slice(0, end));
    for (const bad of ["<R></S>", "<R/><R/>", "text", "<R>&nope;</R>", "<R>a & b</R>", "<R></R></R>", "<R>&#99999999;</R>"]) {
      assert.equal(parseXml(bad), undefined, bad);
    }
  });
});

describe("S3 attempts", () => {
  const faults: readonly FakeFault[] = [
    { kind: "status", status: 500 },
    { kind: "status", status: 502 },
    { kind: "status", status: 503, code: "SlowDown" },
    { kind: "status", status: 504 },
    { kind: "status", status: 520 },
    { kind: "status", status: 429 },
    { kind: "status", status: 408 },
    { kind: "status", status: 400, code: "RequestTimeout" },
    { kind: "status", status: 409, code: "OperationAborted" },
    { kind: "drop" },
    { kind: "drop-after-effect" },
    { kind: "status-after-effect", status: 500 },
    { kind: "truncate" },
    { kind: "silence" },
  ];
  for (const fault of faults) {
    test(`every call survives ${JSON.stringify(fault)} three times`, async () => {
      await using b = await bench({ silenceMsMax: 40 });
      const { fake, store, clock } = b;
      const body = pattern(5000);
      const again = (): void => {
        // A HEAD's answer has no body to hold a code; by its status alone 400 and 409 are refusals.
        const isCoded = fault.kind === "status" && (fault.status === 400 || fault.status === 409);
        fake.fault = times(3, fault, (request) => !isCoded || request.method !== "HEAD");
        clock.sleptMs = [];
      };
      again();
      const etag = await store.put("k", body);
      again();
      assert.ok(equalBytes((await store.get("k")) as Uint8Array, body));
      again();
      assert.ok(equalBytes((await store.getRange("k", { start: 10, end: 20 })) as Uint8Array, body.subarray(10, 20)));
      again();
      assert.equal((await store.head("k"))?.etag, etag);
      again();
      assert.deepEqual(await names(store, ""), ["k"]);
      again();
      assert.ok((await store.putIf("new", body, absent)).ok);
      again();
      assert.ok((await store.putIf("k", utf8("next"), { kind: "match", etag })).ok);
      again();
      await store.delete("k");
      fake.fault = () => undefined;
      assert.equal(await store.get("k"), undefined);
      assert.ok(store.counters.retries >= 3);
    });
  }

  test("waits double up to 5 s, half of each at random, and Retry-After is heeded", async () => {
    await using b = await bench({ attemptsMax: 9 });
    const { fake, store, clock } = b;
    fake.fault = () => ({ kind: "status", status: 503, code: "SlowDown" });
    await assert.rejects(
      store.get("k"),
      (e) => isPumiceError(e, "STORE_UNAVAILABLE") && /status=503 storeCode=SlowDown.*attempts=9|attempts=9.*status=503/.test(e.message),
    );
    assert.equal(clock.sleptMs.length, 8);
    for (const [i, ms] of clock.sleptMs.entries()) {
      const full = Math.min(100 * 2 ** i, 5000);
      assert.ok(ms >= full / 2 && ms <= full, `${i}: ${ms}`);
    }
    clock.sleptMs = [];
    fake.fault = times(1, { kind: "status", status: 503, headers: { "retry-after": "3" } });
    await store.get("k");
    assert.deepEqual(clock.sleptMs, [3000]);
  });

  test("a store that is not there is STORE_UNAVAILABLE, and the error says which and why", async () => {
    const store = new S3ObjectStore({
      bucket: "bucket",
      endpoint: "http://127.0.0.1:9",
      credentials: { accessKeyId: "a", secretAccessKey: "b" },
      attemptsMax: 2,
      clock: new HastyClock(),
    });
    await assert.rejects(
      store.get("k"),
      (e) => isPumiceError(e, "STORE_UNAVAILABLE") && e.message.includes("host=127.0.0.1:9") && e.message.includes("ECONNREFUSED"),
    );
    await store.close();
  });

  test("an address where nobody listens is told of after a few attempts", async () => {
    const credentials = { accessKeyId: "a", secretAccessKey: "b" };
    await using store = new S3ObjectStore({ bucket: "bucket", endpoint: "http://127.0.0.1:9", credentials, backoffMs: 1 });
    await assert.rejects(
      store.get("a"),
      (e) => isPumiceError(e, "STORE_UNAVAILABLE") && e.message.includes("attempts=3") && e.message.includes("ECONNREFUSED"),
    );
  });

  test("what is wrong with the request is refused at once", async () => {
    await using b = await bench();
    for (const [status, code] of [
      [403, "AccessDenied"],
      [400, "InvalidRequest"],
      [301, "PermanentRedirect"],
      [501, "NotImplemented"],
    ] as const) {
      b.fake.fault = () => ({ kind: "status", status, code });
      for (const call of [
        () => b.store.get("k"),
        () => b.store.put("k", utf8("x")),
        () => b.store.putIf("k", utf8("x"), absent),
        () => b.store.delete("k"),
      ]) {
        await assert.rejects(call(), (e) => isPumiceError(e, "STORE_REFUSED") && e.message.includes(code));
      }
    }
    assert.equal(b.store.counters.retries, 0);
  });

  test("a clock that is off by an hour is corrected by the store's, once", async () => {
    await using b = await bench();
    b.fake.clockOffsetMs = 3_600_000;
    await b.store.put("k", utf8("x"));
    assert.equal(text(await b.store.get("k")), "x");
    assert.deepEqual(
      b.fake.requests.map((request) => request.method),
      ["PUT", "PUT", "GET"],
    );
    await using c = await bench();
    c.fake.clockOffsetMs = -3_600_000;
    assert.equal(await c.store.head("k"), undefined);
  });

  test("credentials are asked for once, again before they expire, and once when the store says that they have", async () => {
    let asked = 0;
    const fake = new FakeS3();
    const endpoint = await fake.start();
    let expiresAtMs = Date.now() + 3_600_000;
    const credentials = () => Promise.resolve({ ...fake.credentials, expiresAtMs, sessionToken: String(++asked) });
    await using store = new S3ObjectStore({ bucket: FakeS3.bucket, endpoint, credentials, clock: new HastyClock() });
    await Promise.all([store.get("a"), store.get("b"), store.get("c")]);
    assert.equal(asked, 1);
    fake.fault = times(1, { kind: "status", status: 400, code: "ExpiredToken" });
    await store.get("a");
    assert.equal(asked, 2);
    fake.fault = () => ({ kind: "status", status: 400, code: "ExpiredToken" });
    await assert.rejects(store.get("a"), (e) => isPumiceError(e, "STORE_REFUSED"));
    assert.equal(asked, 3);
    fake.fault = times(1, { kind: "status", status: 400, code: "ExpiredToken" });
    assert.equal(await store.head("a"), undefined);
    assert.equal(asked, 4);
    fake.fault = () => undefined;
    expiresAtMs = Date.now() + 1000;
    await store.get("a");
    await fake.stop();
  });

  test("an abort ends a call that waits for the store, and one that waits for its next attempt", async () => {
    await using b = await bench();
    for (const fault of [{ kind: "silence" }, { kind: "status", status: 500 }] as const) {
      b.fake.fault = () => fault;
      for (const call of [
        (signal: AbortSignal) => b.store.get("k", { signal }),
        (signal: AbortSignal) => b.store.put("k", pattern(100_000), { signal }),
        (signal: AbortSignal) => b.store.putIf("k", utf8("x"), absent, { signal }),
        (signal: AbortSignal) => names(b.store, "", { signal }),
      ]) {
        const controller = new AbortController();
        const reason = new Error("enough");
        const before = b.fake.requests.length;
        const promise = call(controller.signal);
        while (b.fake.requests.length === before) await new Promise(setImmediate);
        controller.abort(reason);
        await assert.rejects(promise, (e) => e === reason);
      }
    }
  });

  test("close waits for calls under way; later ones are STORE_CLOSED", async () => {
    await using b = await bench();
    const call = b.store.putIf("k", utf8("x"), absent);
    const closing = b.store.close();
    assert.ok((await call).ok);
    await closing;
    for (const late of [
      () => b.store.get("k"),
      () => b.store.put("k", utf8("x")),
      () => b.store.putIf("k", utf8("x"), absent),
      () => names(b.store, ""),
    ]) {
      await assert.rejects(late(), (e) => isPumiceError(e, "STORE_CLOSED"));
    }
    await b.store.close();
  });
});

describe("S3 conditional puts whose answer is lost", () => {
  for (const fault of [{ kind: "drop-after-effect" }, { kind: "status-after-effect", status: 500 }] as const) {
    test(`a create that took effect has won (${fault.kind})`, async () => {
      await using b = await bench();
      b.fake.fault = times(1, fault, isPut);
      const result = await b.store.putIf("k", utf8("mine"), absent);
      assert.ok(result.ok);
      assert.equal((await b.store.head("k"))?.etag, result.etag);
      assert.equal(b.fake.requests.filter(isPut).length, 1, "nothing is sent again");
    });

    test(`a replace that took effect has won (${fault.kind})`, async () => {
      await using b = await bench();
      const etag = await b.store.put("k", utf8("one"));
      b.fake.fault = times(1, fault, isPut);
      const result = await b.store.putIf("k", utf8("two"), { kind: "match", etag });
      assert.ok(result.ok);
      assert.equal((await b.store.head("k"))?.etag, result.etag);
    });
  }

  test("a create that did not take effect loses against another's, even if that has the same bytes", async () => {
    await using b = await bench();
    await using other = new S3ObjectStore({ bucket: FakeS3.bucket, endpoint: `http://${b.fake.address}`, credentials: b.fake.credentials });
    let isFirst = true;
    b.fake.fault = (request) => {
      if (!isPut(request) || !isFirst) return undefined;
      isFirst = false;
      return { kind: "drop" };
    };
    const mine = b.store.putIf("fence", utf8("same"), absent);
    // The other's goes through while ours is on its way for the second time, or before: either way one of the two has won.
    const theirs = await other.putIf("fence", utf8("same"), absent);
    assert.equal([theirs, await mine].filter((result) => result.ok).length, 1);
  });

  test("an attempt that lands late makes the next one lose against it, and the two together have won", async () => {
    await using b = await bench();
    let late: FakeRequest | undefined;
    b.fake.fault = (request) => {
      if (!isPut(request)) return undefined;
      if (late === undefined) {
        late = request;
        return { kind: "drop" };
      }
      // Before the second attempt is looked at, the first arrives.
      b.fake.objects.set("k", {
        body: late.body,
        etag: "late",
        modified: new Date(),
        meta: { [PUT_ID_HEADER]: late.headers[PUT_ID_HEADER] ?? "" },
      });
      return undefined;
    };
    assert.deepEqual(await b.store.putIf("k", utf8("mine"), absent), { ok: true, etag: "late" });
  });

  test("a replace whose version was replaced by another is lost; if more happened since, the outcome is unknown and an error", async () => {
    await using b = await bench();
    const put = async (replaces: (etag: ETag) => string): Promise<unknown> => {
      const etag = await b.store.put("k", utf8(`start ${Math.random()}`));
      let isFirst = true;
      b.fake.fault = (request) => {
        if (!isPut(request) || !isFirst) return undefined;
        isFirst = false;
        const meta = { [PUT_ID_HEADER]: "another's", "x-amz-meta-pumicereplaces": replaces(etag) };
        b.fake.objects.set("k", { body: Buffer.from("theirs"), etag: "theirs", modified: new Date(), meta });
        return { kind: "drop" };
      };
      return b.store.putIf("k", utf8("mine"), { kind: "match", etag }).finally(() => (b.fake.fault = () => undefined));
    };
    assert.deepEqual(await put((etag) => etag), { ok: false });
    await assert.rejects(
      put(() => "what came between"),
      (e) => isPumiceError(e, "STORE_UNAVAILABLE") && e.message.includes("read, then decide"),
    );
  });

  test("a replace whose object is gone after a lost answer is unknown", async () => {
    await using b = await bench();
    const etag = await b.store.put("k", utf8("one"));
    b.fake.fault = (request) => {
      if (!isPut(request)) return undefined;
      b.fake.objects.delete("k");
      return { kind: "drop" };
    };
    await assert.rejects(b.store.putIf("k", utf8("two"), { kind: "match", etag }), (e) => isPumiceError(e, "STORE_UNAVAILABLE"));
  });

  test("a store that forgets metadata never makes a lost create look won", async () => {
    await using b = await bench();
    b.fake.isForgetful = true;
    b.fake.objects.set("k", { body: Buffer.from("same"), etag: "e", modified: new Date(), meta: {} });
    b.fake.fault = times(1, { kind: "drop" }, isPut);
    assert.deepEqual(await b.store.putIf("k", utf8("same"), absent), { ok: false });
  });

  test("If-Match goes without quotes to a store that wants it so, which is found out once", async () => {
    await using b = await bench();
    b.fake.isCeph = true;
    let etag = await b.store.put("k", utf8("0"));
    for (let i = 1; i <= 3; i++) {
      const result = await b.store.putIf("k", utf8(String(i)), { kind: "match", etag });
      assert.ok(result.ok);
      etag = result.etag;
    }
    const sent = b.fake.requests.filter((r) => r.headers["if-match"] !== undefined).map((r) => r.headers["if-match"]?.startsWith('"'));
    assert.deepEqual(sent, [true, false, false, false]);
    await using told = await bench({ ifMatchStyle: "unquoted" });
    told.fake.isCeph = true;
    const first = await told.store.put("k", utf8("0"));
    assert.ok((await told.store.putIf("k", utf8("1"), { kind: "match", etag: first })).ok);
    assert.equal(told.fake.requests.length, 2);
  });

  test("a lost replace at a store of unknown habits costs one question and stays lost", async () => {
    await using b = await bench();
    const etag = await b.store.put("k", utf8("0"));
    await b.store.put("k", utf8("1"));
    assert.deepEqual(await b.store.putIf("k", utf8("2"), { kind: "match", etag }), { ok: false });
    assert.equal(text(await b.store.get("k")), "1");
  });
});

describe("S3 puts in parts", () => {
  const options = { multipartBytesMin: 1000, partBytes: 300 };

  test("each part is sent again by itself, and the joining too", async () => {
    await using b = await bench(options);
    const body = pattern(2500);
    const failed = new Set<string>();
    // Every request fails once, before its effect or after it.
    b.fake.fault = (request) => {
      const name = `${request.method} ${request.query.toString()}`;
      if (failed.has(name)) return undefined;
      failed.add(name);
      return failed.size % 2 === 0 ? { kind: "drop" } : { kind: "drop-after-effect" };
    };
    const etag = await b.store.put("k", body);
    b.fake.fault = () => undefined;
    assert.equal((await b.store.head("k"))?.etag, etag);
    assert.ok(equalBytes((await b.store.get("k")) as Uint8Array, body));
    assert.ok(b.fake.requests.filter((r) => isPut(r) && r.query.has("partNumber")).length >= 9);
  });

  test("a joining whose answer was lost is found to have happened", async () => {
    await using b = await bench(options);
    b.fake.fault = times(1, { kind: "drop-after-effect" }, (r) => r.method === "POST" && r.query.has("uploadId"));
    const etag = await b.store.put("k", pattern(1000));
    assert.equal((await b.store.head("k"))?.etag, etag);
  });

  test("a put that fails or is aborted leaves no object and no unfinished upload", async () => {
    await using b = await bench({ ...options, attemptsMax: 2 });
    b.fake.fault = (r) => (isPut(r) && r.query.get("partNumber") === "3" ? { kind: "status", status: 500 } : undefined);
    await assert.rejects(b.store.put("k", pattern(2000)), (e) => isPumiceError(e, "STORE_UNAVAILABLE"));
    assert.equal(b.fake.uploads.size, 0);
    const controller = new AbortController();
    const reason = new Error("enough");
    b.fake.fault = (r) => {
      if (isPut(r) && r.query.get("partNumber") === "2") controller.abort(reason);
      return undefined;
    };
    await assert.rejects(b.store.put("k", pattern(2000), { signal: controller.signal }), (e) => e === reason);
    assert.equal(b.fake.uploads.size, 0);
    assert.equal(b.fake.objects.size, 0);
  });

  test("a conditional put never goes in parts", async () => {
    await using b = await bench(options);
    assert.ok((await b.store.putIf("k", pattern(5000), absent)).ok);
    assert.deepEqual(
      b.fake.requests.map((r) => r.method),
      ["PUT"],
    );
  });
});

describe("S3 answers that do not fit", () => {
  test("pages that are out of order, and listings that are none, are errors and no endless loop", async () => {
    await using b = await bench();
    for (const name of ["a", "b", "c"]) await b.store.put(name, utf8("."));
    b.fake.pageCount = 2;
    assert.deepEqual(await names(b.store, ""), ["a", "b", "c"]);
    const keys = ["b", "a"];
    const listing = `<ListBucketResult>${keys.map((k) => `<Contents><Key>${k}</Key><Size>1</Size><ETag>e</ETag><LastModified>2020-01-01T00:00:00Z</LastModified></Contents>`).join("")}<IsTruncated>true</IsTruncated></ListBucketResult>`;
    for (const body of [
      listing,
      "<html>",
      "",
      "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
      listing.replaceAll("<Size>1</Size>", ""),
    ]) {
      await using odd = await answering({ status: 200, body });
      await assert.rejects(names(odd.store, ""), (e) => isPumiceError(e, "STORE_UNAVAILABLE"), body);
    }
  });

  test("keys of a listing are decoded if it says that they are encoded, and else taken as they are", async () => {
    const listing = (head: string, key: string) =>
      `<ListBucketResult>${head}<Contents><Key>${key}</Key><Size>1</Size><ETag>e</ETag><LastModified>2020-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>`;
    const encoded = "<EncodingType>url</EncodingType>";
    for (const [body, expected] of [
      [listing(encoded, "a+b%2Bc%25"), "a b+c%"],
      [listing("", "a+b%2Bc%"), "a+b%2Bc%"],
    ] as const) {
      await using odd = await answering({ status: 200, body });
      assert.deepEqual(await names(odd.store, ""), [expected]);
    }
    await using odd = await answering({ status: 200, body: listing(encoded, "a%zz") });
    await assert.rejects(names(odd.store, ""), (e) => isPumiceError(e, "STORE_UNAVAILABLE"));
  });

  test("another range than was asked for is an error; the whole object for a range is cut", async () => {
    for (const [range, body] of [
      ["bytes 0-3/10", "0123"],
      ["bytes 2-4/10", "23"],
      ["bytes 2-3/10", "23"],
      ["", "234"],
    ] as const) {
      await using odd = await answering({ status: 206, body, headers: range === "" ? {} : { "content-range": range } });
      await assert.rejects(odd.store.getRange("k", { start: 2, end: 5 }), (e) => isPumiceError(e, "STORE_UNAVAILABLE"), range);
    }
    await using whole = await answering({ status: 200, body: "0123456789" });
    assert.equal(text(await whole.store.getRange("k", { start: 2, end: 5 })), "234");
    await assert.rejects(whole.store.getRange("k", { start: 11, end: 12 }), (e) => isPumiceError(e, "STORE_RANGE"));
  });

  test("folder marks that consoles make are in no listing", async () => {
    await using b = await bench();
    b.fake.objects.set("folder/", { body: Buffer.from(""), etag: "e", modified: new Date(), meta: {} });
    await b.store.put("folder/a", utf8("x"));
    assert.deepEqual(await names(b.store, ""), ["folder/a"]);
  });
});

describe("S3 settings", () => {
  test("credentials, region and endpoint come from the environment; without keys the first call says what to set", async () => {
    const settings = s3FromEnvironment({
      AWS_REGION: "eu-central-1",
      AWS_ENDPOINT_URL: "http://x:1",
      AWS_ACCESS_KEY_ID: "id",
      AWS_SECRET_ACCESS_KEY: "s",
    });
    assert.equal(settings.region, "eu-central-1");
    assert.equal(settings.endpoint, "http://x:1");
    assert.deepEqual(typeof settings.credentials === "function" && (await settings.credentials()), {
      accessKeyId: "id",
      secretAccessKey: "s",
      sessionToken: undefined,
    });
    const store = new S3ObjectStore({ bucket: "bucket", ...s3FromEnvironment({}) });
    await assert.rejects(store.get("k"), (e) => isPumiceError(e, "STORE_REFUSED") && e.message.includes("AWS_ACCESS_KEY_ID"));
  });

  test("an address whose path is no percent-encoded text is STORE_URL", () => {
    assert.throws(
      () => openObjectStore("s3://bucket/100%", { env: {} }),
      (e) => isPumiceError(e, "STORE_URL"),
    );
  });

  test("what cannot be a bucket or an endpoint is STORE_URL, and credentials in it are not repeated", () => {
    const open = (more: Partial<S3ObjectStoreOptions>) => () =>
      new S3ObjectStore({ bucket: "bucket", credentials: { accessKeyId: "a", secretAccessKey: "b" }, ...more });
    for (const more of [{ bucket: "" }, { bucket: "a/b" }, { endpoint: "ftp://x" }, { endpoint: "nonsense" }, { endpoint: "http://h?x" }]) {
      assert.throws(open(more), (e) => isPumiceError(e, "STORE_URL"));
    }
    assert.throws(
      open({ endpoint: "http://user:pass-word@host" }),
      (e) => isPumiceError(e, "STORE_URL") && !`${e.stack}`.includes("pass-word"),
    );
  });

  test("a store shows its secret to no inspector", () => {
    const store = new S3ObjectStore({ bucket: "bucket", credentials: { accessKeyId: "id", secretAccessKey: "very-secret" } });
    assert.ok(!`${inspect(store, { depth: 9, showHidden: true })}${JSON.stringify(store)}`.includes("very-secret"));
  });
});

/** A store whose server gives one answer to everything. */
async function answering(answer: { status: number; body: string; headers?: Record<string, string> }): Promise<Bench> {
  const b = await bench();
  b.fake.answer = () => answer;
  return b;
}
