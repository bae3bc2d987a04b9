/** A backup hands out the database as a SQLite file or as SQL text, piece by piece. Memory is bounded by a few pieces. */
import { PumiceError, unpackError, utf8, type FileSystem, type Worker } from "../base/mod.ts";
import type { Dumps } from "./dumps.ts";
import type { BackupOptions, DumpOptions, ReaderRequest, ReaderResponse } from "../sql/mod.ts";

/** What a backup needs: a reader thread of its own, and a place for a temporary file. */
export interface BackupParts {
  readonly spawnReader: () => Worker;
  readonly files: FileSystem;
  /** Where the copy stands until it has been read. Must not exist. */
  readonly temporaryPath: string;
  readonly dumps: Dumps;
}

/** How a backup is made: a SQLite file, or a text of statements. `signal` ends it. */
export type BackupRequest = (({ readonly format: "file" } & BackupOptions) | ({ readonly format: "sql" } & DumpOptions)) & {
  readonly signal?: AbortSignal | undefined;
};

/** Bytes of a backup file handed out at a time. */
const PIECE_BYTES = 256 * 1024;

/** The backup's bytes. Ending the iteration early ends the backup. @throws SQL_* if it fails; the signal's reason */
export async function* backupBytes(request: BackupRequest, parts: BackupParts): AsyncGenerator<Uint8Array, void, void> {
  const { worker, ask } = openReader(parts.spawnReader(), request.signal);
  try {
    if (request.format === "sql") {
      yield* dumpBytes({ tables: request.tables }, { worker, ask, dumps: parts.dumps });
      return;
    }
    const options: BackupOptions = { journalMode: request.journalMode, vacuum: request.vacuum };
    const done = await ask({ kind: "backup", id: 0, target: parts.temporaryPath, options });
    if (done.kind !== "backup-done") throw new PumiceError("WORKER_FAILED", { name: "backup", reason: done.kind });
    if (done.error !== undefined) throw unpackError(done.error);
    yield* fileBytes(parts.files, parts.temporaryPath);
  } finally {
    await worker.terminate();
    if (parts.files.exists(parts.temporaryPath)) parts.files.remove(parts.temporaryPath);
  }
}

type Ask = (request: ReaderRequest) => Promise<ReaderResponse>;

/** One request at a time, each with one answer. */
function openReader(worker: Worker, signal: AbortSignal | undefined): { readonly worker: Worker; readonly ask: Ask } {
  let settle: { resolve: (response: ReaderResponse) => void; reject: (error: unknown) => void } | undefined;
  let failure: { readonly error: unknown } | undefined;
  const fail = (error: unknown): void => {
    failure ??= { error };
    settle?.reject(error);
  };
  signal?.addEventListener("abort", () => fail(signal.reason), { once: true });
  worker.onMessage((message) => {
    const response = message as ReaderResponse;
    if (response.kind === "opened") return;
    if (response.kind === "fatal") fail(unpackError(response.error));
    else settle?.resolve(response);
  });
  worker.onExit((error) => fail(error ?? new PumiceError("WORKER_FAILED", { name: "backup" })));
  const ask: Ask = (request) =>
    new Promise((resolve, reject) => {
      if (failure !== undefined) return reject(failure.error);
      settle = { resolve, reject };
      worker.post(request);
    });
  return { worker, ask };
}

interface DumpParts {
  readonly worker: Worker;
  readonly ask: Ask;
  readonly dumps: Dumps;
}

async function* dumpBytes(options: DumpOptions, { worker, ask, dumps }: DumpParts): AsyncGenerator<Uint8Array, void, void> {
  worker.post({ kind: "dump", id: 0, options } satisfies ReaderRequest);
  const watch = dumps.watch(worker);
  try {
    for (;;) {
      const chunk = await ask({ kind: "dump-next", id: 0 });
      if (chunk.kind !== "dump-chunk") throw new PumiceError("WORKER_FAILED", { name: "backup", reason: chunk.kind });
      if (chunk.error !== undefined) throw unpackError(chunk.error);
      watch.handedOut();
      if (chunk.text !== "") yield utf8(chunk.text);
      if (watch.failure !== undefined) throw watch.failure;
      watch.taken();
      if (chunk.isLast) return;
    }
  } finally {
    watch.done();
  }
}

/** Synchronous reads of a file that was written a moment ago: they come from memory. */
async function* fileBytes(files: FileSystem, path: string): AsyncGenerator<Uint8Array, void, void> {
  const file = files.open(path, "read");
  try {
    const size = file.size();
    for (let position = 0; position < size;) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, size - position));
      const count = file.read(piece, position);
      if (count === 0) throw new PumiceError("FS_IO", { path, reason: "the backup file ended early" });
      yield piece.subarray(0, count);
      position += count;
    }
  } finally {
    file.close();
  }
}
