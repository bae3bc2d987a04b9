/** The S3 store against a real server, which this file starts. Where Ceph's packages are missing, the tests are skipped, and say so. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { equalBytes, isPumiceError, utf8, type ObjectMeta } from "../../src/base/mod.ts";
import { runLsm } from "../../src/cli/lsm/command.ts";
import { Admin, CachingObjectStore, components, DiskCache, openDb, openReader } from "../../src/entry/lsm.ts";
import { S3Client } from "../../src/host/s3/client.ts";
import type { S3ObjectStoreOptions } from "../../src/host/s3/options.ts";
import { S3ObjectStore } from "../../src/host/s3/s3-object-store.ts";
import { names, objectStoreConformance, pattern, text } from "./object-store-conformance.ts";
import { breakingLine } from "./support/breaking-line.ts";
import { lifeOf } from "../lsm/support/address-life.ts";
import { radosgwMissing, startRadosgw, type S3Server } from "./support/radosgw.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
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

  test(`through a line that breaks, creates have one winner each and counters lose nothing (seed ${SEED})`, async () => {
    let state = SEED;
    const draw = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
    const line = await breakingLine(Number(new URL(server.endpoint).port), 0.12, draw);
    const open = () =>
      new S3ObjectStore(optionsOf({ endpoint: `http://127.0.0.1:${line.port}`, prefix: "line/", backoffMs: 5, attemptsMax: 20 }));
    const stores = Array.from({ length: 4 }, open);
    await using calm = new S3ObjectStore(optionsOf({ prefix: "line/" }));
    for (let key = 0; key < 12; key++) {
      const results = await Promise.all(stores.map((store, i) => store.putIf(`create/${key}`, utf8(`racer ${i}`), { kind: "absent" })));
      const winners = results.flatMap((result, i) => (result.ok ? [i] : []));
      assert.equal(winners.length, 1, `key ${key}`);
      assert.equal(text(await calm.get(`create/${key}`)), `racer ${winners[0]}`);
    }
    await calm.put("counter", utf8("0"));
    let unknownCount = 0;
    await Promise.all(
      stores.map(async (store) => {
        for (let done = 0; done < 8;) {
          const meta = (await store.head("counter")) as ObjectMeta;
          const next = utf8(String(Number(text(await store.get("counter"))) + 1));
          const result = await store.putIf("counter", next, { kind: "match", etag: meta.etag }).catch((error: unknown) => {
            if (!isPumiceError(error, "STORE_UNAVAILABLE")) throw error;
            unknownCount++;
            return { ok: false };
          });
          if (result.ok) done++;
        }
      }),
    );
    const sum = Number(text(await calm.get("counter")));
    assert.ok(sum >= 32 && sum <= 32 + unknownCount, `sum=${sum} unknownCount=${unknownCount}`);
    assert.ok(line.cuts > 20, `cuts=${line.cuts}`);
    for (const store of stores) await store.close();
    await line.close();
  });

  test("an LSM database lives on it: written, compacted, collected, fenced, verified, read again, also through the command line", async () => {
    await using store = new S3ObjectStore(optionsOf());
    const folder = await mkdtemp(join(tmpdir(), "pumice-s3-cache-"));
    try {
      const cached = new CachingObjectStore({ store, cache: await DiskCache.open({ folder, bytesMax: 1e7 }), storeName: "real" });
      const choices = { compactor: false, gc: false } as const;
      const db = await openDb(cached, "db", choices);
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 200; i++) await db.put(utf8(`k${i}`), utf8(`${round}-${i}`), { awaitDurable: false });
        await db.flush("memtable");
      }
      await db.put(utf8("last"), utf8("in the WAL"));
      const checkpoint = await new Admin("db", components(cached)).createCheckpoint({ name: "all" });
      const second = await openDb(cached, "db", choices);
      await assert.rejects(db.put(utf8("k"), utf8("stale")), (e) => isPumiceError(e, "LSM_FENCED"));
      await db.close().catch(() => undefined);
      assert.equal(text(await second.get(utf8("k7"))), "2-7");
      assert.equal(text(await second.get(utf8("last"))), "in the WAL");
      await second.close();
      const admin = new Admin("db", components(cached));
      await admin.compact("everything");
      await admin.deleteCheckpoint(checkpoint.id);
      assert.ok((await admin.collectGarbage(0)).manifests > 0);
      assert.deepEqual((await admin.verify()).findings, []);
      const reader = await openReader(cached, "db", { mode: "latest" });
      assert.equal((await reader.scan().toArray()).length, 201);
      await reader.close();
      let out = "";
      const output = { out: (printed: string) => void (out += printed), problem: (printed: string) => void (out += printed) };
      const env = {
        AWS_ENDPOINT_URL: server.endpoint,
        AWS_ACCESS_KEY_ID: server.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
      };
      assert.equal(await runLsm(["scan", `s3://${bucket}/db`, "--prefix", "k199"], output, env), 0, out);
      assert.equal(await runLsm(["verify", `s3://${bucket}/db`], output, env), 0, out);
      assert.match(out, /^k199\t2-199\nok: /);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("opened by s3://, with nothing but the environment, it lives, and compacts on another thread", async () => {
    const names = {
      AWS_ENDPOINT_URL: server.endpoint,
      AWS_ACCESS_KEY_ID: server.accessKeyId,
      AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    };
    Object.assign(process.env, names);
    try {
      await lifeOf(`s3://${bucket}/some/where`);
    } finally {
      for (const name of Object.keys(names)) delete process.env[name];
    }
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
