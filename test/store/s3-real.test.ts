/** The S3 store against a real server, which this file starts. Where Ceph's packages are missing, the tests are skipped, and say so. */
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { equalBytes, isPumiceError, utf8 } from "../../src/base/mod.ts";
import { S3Client } from "../../src/host/s3/client.ts";
import type { S3ObjectStoreOptions } from "../../src/host/s3/options.ts";
import { S3ObjectStore } from "../../src/host/s3/s3-object-store.ts";
import { names, objectStoreConformance, pattern, text } from "./object-store-conformance.ts";
import { radosgwMissing, startRadosgw, type S3Server } from "./support/radosgw.ts";

const skip = radosgwMissing();
if (skip !== undefined) console.error(`SKIPPED, the S3 store against a real server: ${skip}`);

describe("S3, a real server (Ceph radosgw)", { skip: skip ?? false }, () => {
  const bucket = `pumice-${randomBytes(4).toString("hex")}`;
  let server: S3Server;
  const optionsOf = (more: Partial<S3ObjectStoreOptions> = {}): S3ObjectStoreOptions => ({
    bucket,
    endpoint: server.endpoint,
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
    ...more,
  });
  before(async () => {
    server = await startRadosgw();
    const client = new S3Client(optionsOf());
    const answer = await client.send({ method: "PUT" });
    assert.equal(answer.status, 200, Buffer.from(answer.body).toString());
    await client.close();
  });
  after(() => server?.stop());

  objectStoreConformance("S3, real", async () => {
    const store = new S3ObjectStore(optionsOf({ prefix: "some folder/" }));
    return { store, close: () => store.close() };
  });

  test("a large put goes in parts and comes back whole", async () => {
    await using store = new S3ObjectStore(optionsOf({ multipartBytesMin: 6 * 1024 * 1024, partBytes: 5 * 1024 * 1024 }));
    const body = pattern(17 * 1024 * 1024 + 3);
    const etag = await store.put("parts", body);
    assert.equal((await store.head("parts"))?.etag, etag);
    assert.ok(equalBytes((await store.get("parts")) as Uint8Array, body));
    assert.equal(store.counters.requests.PUT, 4);
    assert.equal(store.counters.requests.POST, 2);
    assert.ok((await store.putIf("parts", utf8("next"), { kind: "match", etag })).ok);
    assert.equal(text(await store.get("parts")), "next");
  });

  test("wrong keys, a wrong secret and an absent bucket are STORE_REFUSED, and the secret is in no message", async () => {
    const good = { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey };
    for (const more of [
      { credentials: { ...good, secretAccessKey: "wrong-secret" } },
      { credentials: { ...good, accessKeyId: "nobody" } },
      { bucket: "no-such-bucket" },
    ]) {
      await using store = new S3ObjectStore(optionsOf(more));
      for (const call of [
        () => store.get("k"),
        () => store.head("k"),
        () => store.put("k", utf8("x")),
        () => store.putIf("k", utf8("x"), { kind: "absent" }),
        () => store.delete("k"),
        () => names(store, ""),
      ]) {
        await assert.rejects(call(), (error: Error) => {
          assert.ok(isPumiceError(error, "STORE_REFUSED"), error.message);
          assert.ok(!`${error.stack}${JSON.stringify(error)}`.includes(more.credentials?.secretAccessKey ?? server.secretAccessKey));
          return true;
        });
      }
    }
  });
});
