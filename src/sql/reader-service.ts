/**
 * The message loop of a reader worker. Reads that wait when the thread is free run in one transaction; their answers go back in groups,
 * so that a slow one holds no finished one back for long. See worker-protocol.ts.
 */
import type { WorkerScope } from "../base/mod.ts";
import { type SqlWorkerWorld, wireError } from "./apply-service.ts";
import { moveText } from "./move-text.ts";
import { Reader, type ReadRequest } from "./reader.ts";
import type { ReadResult } from "./results.ts";
import type { IdentifiedRead, ReaderRequest, ReaderResponse, SqlWorkerInit } from "./worker-protocol.ts";

/** Answers are posted together until they are so many, or the first of them has waited so long. */
const GROUP_ANSWERS = 64;
const GROUP_MS = 1;

type Post = (response: ReaderResponse, transfer?: readonly ArrayBuffer[]) => void;
type Dumps = Map<number, Generator<string, void, undefined>>;

/** Opens the database and serves. */
export function serveReader(scope: WorkerScope, initial: SqlWorkerInit, world: SqlWorkerWorld): void {
  const post: Post = (response, transfer) => scope.post(response, transfer);
  let reader: Reader;
  try {
    reader = Reader.open({ ...initial, ...world });
  } catch (error) {
    post({ kind: "fatal", error: wireError(error) });
    return;
  }
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
    if (!isClosed && reads.length > 0) runReads(reader, reads, { post, monotonic: world.monotonic });
    return false;
  });
}

function runReads(
  reader: Reader,
  reads: readonly IdentifiedRead[],
  world: { readonly post: Post; readonly monotonic: () => number },
): void {
  let results: { id: number; result: ReadResult }[] = [];
  let transfer: ArrayBuffer[] = [];
  let since = 0;
  const flush = (): void => {
    if (results.length > 0) world.post({ kind: "reads", results }, transfer);
    results = [];
    transfer = [];
  };
  const requests = reads.map((read): ReadRequest => read.request);
  reader.readMany(requests, (position, result) => {
    if (results.length === 0) since = world.monotonic();
    results.push({ id: (reads[position] as IdentifiedRead).id, result: { ...result, results: moveText(result.results, transfer) } });
    if (results.length >= GROUP_ANSWERS || world.monotonic() - since > GROUP_MS) flush();
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

function errorOf(act: () => void): ReturnType<typeof wireError> | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return wireError(error);
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
