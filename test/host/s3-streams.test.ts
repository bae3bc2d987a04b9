/** Objects that an S3 store creates while they are made, against a strict fake that can be made to fail. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { equalBytes, isPumiceError } from "../../src/base/mod.ts";
import { pattern } from "./object-store-conformance.ts";
import { bench } from "./support/s3-bench.ts";
import type { FakeRequest } from "./support/fake-s3.ts";

const isPut = (request: FakeRequest): boolean => request.method === "PUT";

describe("S3 creates from parts that are made meanwhile", () => {
  const options = { partBytes: 300 };
  async function* parts(body: Uint8Array): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < body.length; at += 100) yield body.slice(at, at + 100);
  }

  test("what fits into one part is one conditional put; more is an upload whose joining carries the condition", async () => {
    await using b = await bench(options);
    assert.ok((await b.store.createFrom("small", parts(pattern(250)))).ok);
    assert.deepEqual(
      b.fake.requests.map((r) => [r.method, r.headers["if-none-match"]]),
      [["PUT", "*"]],
    );
    assert.ok((await b.store.createFrom("large", parts(pattern(2500)))).ok);
    const joining = b.fake.requests.find((r) => r.method === "POST" && r.query.has("uploadId"));
    assert.equal(joining?.headers["if-none-match"], "*");
    assert.ok(equalBytes((await b.store.get("large")) as Uint8Array, pattern(2500)));
  });

  test("each part is sent again by itself, and a joining whose answer was lost is found to have happened", async () => {
    await using b = await bench(options);
    const failed = new Set<string>();
    b.fake.fault = (request) => {
      const name = `${request.method} ${request.query.toString()}`;
      if (failed.has(name)) return undefined;
      failed.add(name);
      return { kind: "drop-after-effect" };
    };
    const result = await b.store.createFrom("k", parts(pattern(1700)));
    b.fake.fault = () => undefined;
    assert.ok(result.ok);
    assert.equal((await b.store.head("k"))?.etag, result.etag);
    assert.ok(equalBytes((await b.store.get("k")) as Uint8Array, pattern(1700)));
  });

  test("who comes too late has lost, also at the joining, and nothing of the upload remains", async () => {
    for (const isCeph of [false, true]) {
      await using b = await bench(options);
      b.fake.isCeph = isCeph;
      const late = async function* (): AsyncGenerator<Uint8Array> {
        yield* parts(pattern(1500));
        // Another creates it while the parts are still on their way.
        await b.store.put("k", pattern(5));
      };
      assert.deepEqual(await b.store.createFrom("k", late()), { ok: false });
      assert.equal(b.fake.uploads.size, 0);
      assert.equal((await b.store.get("k"))?.length, 5);
    }
    await using b = await bench(options);
    // Between the last look and the joining: only a server that keeps the condition can tell.
    b.fake.fault = (r) => {
      if (r.method === "POST" && r.query.has("uploadId"))
        b.fake.objects.set("k", { body: Buffer.from("x"), etag: "e", modified: new Date(), meta: {} });
      return undefined;
    };
    assert.deepEqual(await b.store.createFrom("k", parts(pattern(1500))), { ok: false });
    assert.equal(b.fake.uploads.size, 0);
  });

  test("a create that fails or is aborted, by either side, leaves no object and no unfinished upload", async () => {
    await using b = await bench({ ...options, attemptsMax: 2 });
    b.fake.fault = (r) => (isPut(r) && r.query.get("partNumber") === "3" ? { kind: "status", status: 500 } : undefined);
    await assert.rejects(b.store.createFrom("k", parts(pattern(4000))), (e) => isPumiceError(e, "STORE_UNAVAILABLE"));
    b.fake.fault = () => undefined;
    const failure = new Error("no more");
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield* parts(pattern(1000));
      throw failure;
    };
    await assert.rejects(b.store.createFrom("k", failing()), failure);
    const controller = new AbortController();
    b.fake.fault = (r) => {
      if (isPut(r) && r.query.get("partNumber") === "2") controller.abort(failure);
      return undefined;
    };
    await assert.rejects(b.store.createFrom("k", parts(pattern(4000)), { signal: controller.signal }), failure);
    assert.equal(b.fake.uploads.size, 0);
    assert.equal(b.fake.objects.size, 0);
  });
});
