/**
 * The message loop of a reader worker. Reads that wait when the thread is free run in one transaction; their answers go back in groups,
 * so that a slow one holds no finished one back for long. See wire/protocol.ts.
 */
import { packError, type PackedError, type WorkerScope } from "../../base/mod.ts";
import type { SqlWorkerWorld } from "../apply/service.ts";
import { packResults } from "../wire/packing.ts";
import { Reader } from "./reader.ts";
import type { IdentifiedRead, ReaderRequest, ReaderResponse, ReaderWorkerInit } from "../wire/protocol.ts";
import type { SqlRead } from "../command/read.ts";
import type { SqlReadResult } from "../result/results.ts";

/** Answers are posted together until they are so many, or the first of them has waited so long. */
const GROUP_ANSWERS = 64;
const GROUP_MS = 1;

type Post = (response: ReaderResponse, transfer?: readonly ArrayBuffer[]) => void;
type Dumps = Map<number, Generator<string, void, undefined>>;

/** Opens the database and serves. */
export function serveReader(scope: WorkerScope, initial: ReaderWorkerInit, world: SqlWorkerWorld): void {
  const post: Post = (response, transfer) => scope.post(response, transfer);
  let reader: Reader;
  try {
    reader = Reader.open({ ...initial, ...world });
  } catch (error) {
    post({ kind: "fatal", error: packError(error) });
    return;
  }
  const running = initial.running === undefined ? undefined : new Int32Array(initial.running);
  const waiting: IdentifiedRead[] = [];
  const dumps: Dumps = new Map();
  let isClosed = false;
  post({ kind: "opened", interruptHandle: reader.interruptHandle });
  scope.onMessage((message) => {
    const request = message as ReaderRequest;
    if (isClosed) return;
    if (request.kind === "read") {
      waiting.push(...request.requests);
      return;
    }
    if (request.kind === "close") {
      isClosed = true;
      for (const dump of dumps.values()) dump.return();
      reader.close();
      post({ kind: "closed" });
      return;
    }
    answer({ reader, dumps, post, walBytes: () => walBytes(initial.path, world) }, request);
  });
  scope.onIdle(() => {
    const reads = waiting.splice(0);
    if (!isClosed && reads.length > 0) runReads(reader, reads, { post, monotonic: world.monotonic, running });
    return false;
  });
}

interface ReadWorld {
  readonly post: Post;
  readonly monotonic: () => number;
  readonly running: Int32Array | undefined;
}

function runReads(reader: Reader, reads: readonly IdentifiedRead[], world: ReadWorld): void {
  let ids: number[] = [];
  let results: SqlReadResult[] = [];
  let since = 0;
  const flush = (): void => {
    if (ids.length === 0) return;
    const transfer: ArrayBuffer[] = [];
    world.post({ kind: "reads", ids, results: packResults(results, transfer) }, transfer);
    ids = [];
    results = [];
  };
  const tellRunning = (position: number): void => {
    if (world.running !== undefined) Atomics.store(world.running, 0, reads[position]?.id ?? 0);
  };
  tellRunning(0);
  const requests = reads.map((read): SqlRead => read.request);
  reader.readMany(requests, (position, result) => {
    if (ids.length === 0) since = world.monotonic();
    ids.push((reads[position] as IdentifiedRead).id);
    results.push(result);
    tellRunning(position + 1);
    if (ids.length >= GROUP_ANSWERS || world.monotonic() - since > GROUP_MS) flush();
  });
  flush();
}

interface Served {
  readonly reader: Reader;
  readonly dumps: Dumps;
  readonly post: Post;
  readonly walBytes: () => number;
}

function answer(served: Served, request: Exclude<ReaderRequest, { readonly kind: "read" | "close" }>): void {
  const { reader, dumps, post } = served;
  switch (request.kind) {
    case "backup":
      post({ kind: "backup-done", id: request.id, error: errorOf(() => reader.backup(request.target, request.options)) });
      return;
    case "dump":
      dumps.set(request.id, reader.dump(request.options));
      return;
    case "dump-next":
      nextChunk(dumps, request.id, post);
      return;
    case "dump-stop":
      dumps.get(request.id)?.return();
      dumps.delete(request.id);
      return;
    case "status":
      post({ kind: "status", id: request.id, status: reader.status(served.walBytes()) });
  }
}

function errorOf(act: () => void): PackedError | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return packError(error);
  }
}

function nextChunk(dumps: Dumps, id: number, post: Post): void {
  const dump = dumps.get(id);
  if (dump === undefined) return;
  let text = "";
  let isLast = true;
  const error = errorOf(() => {
    const next = dump.next();
    isLast = next.done === true;
    text = next.value ?? "";
  });
  if (isLast) dumps.delete(id);
  post({ kind: "dump-chunk", id, text, isLast, error });
}

function walBytes(path: string, world: SqlWorkerWorld): number {
  const wal = `${path}-wal`;
  if (!world.files.exists(wal)) return 0;
  const file = world.files.open(wal, "read");
  try {
    return file.size();
  } finally {
    file.close();
  }
}
