/** What of a request reaches the replica as the limits of a read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MaybeReadOutcome, ReadOptions, ReadRequest, WriteRequest } from "../../src/replica/mod.ts";
import { DEFAULT_LIMITS, DEFAULT_QUEUE, startServer } from "../../src/server/mod.ts";
import type { ReplicaPort } from "../../src/server/replica-port.ts";
import { call } from "./support/http.ts";

const NOTHING = { kind: "results", results: "" } as const;

test("db_timeout, up to the node's bound, or else the node's limit, bounds a read; timeout bounds a strong read's way through the log", async () => {
  const asked: (readonly (number | string | undefined)[])[] = [];
  const replica = {
    read: (request: ReadRequest, options: ReadOptions): Promise<MaybeReadOutcome> => {
      asked.push(["read", request.dbTimeoutMs, options.timeoutMs]);
      return Promise.resolve(NOTHING);
    },
    readUnlessWrite: (request: ReadRequest, options: ReadOptions): Promise<MaybeReadOutcome> => {
      asked.push(["read", request.dbTimeoutMs, options.timeoutMs]);
      return Promise.resolve(request.level === "strong" ? { kind: "writes" } : NOTHING);
    },
    write: (request: WriteRequest, options: { readonly timeoutMs?: number | undefined }): Promise<MaybeReadOutcome> => {
      asked.push(["write", request.dbTimeoutMs, options.timeoutMs]);
      return Promise.resolve(NOTHING);
    },
  } as unknown as ReplicaPort;
  const server = await startServer(
    { host: "127.0.0.1", port: 0, limits: DEFAULT_LIMITS, queue: DEFAULT_QUEUE, readTimeoutMs: 7000, readTimeoutMsMax: 9000 },
    { replica: () => replica, node: { version: "v0", dataDirectory: "d" }, log: () => undefined },
  );
  try {
    await call(`${server.url}/db/query?q=x&timeout=3s`);
    await call(`${server.url}/db/query?q=x&timeout=3s&level=strong`);
    await call(`${server.url}/db/query?q=x&db_timeout=1s`);
    await call(`${server.url}/db/query?q=x&db_timeout=100h`);
    await call(`${server.url}/db/request?timeout=3s&level=strong`, { method: "POST", body: '["x"]' });
  } finally {
    await server.close();
  }
  assert.deepEqual(asked, [
    ["read", 7000, undefined],
    ["read", 7000, 3000],
    ["read", 1000, undefined],
    ["read", 9000, undefined],
    ["read", 7000, 3000],
    ["write", undefined, 3000],
  ]);
});
