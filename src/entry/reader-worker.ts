/** A reader thread: one read-only connection. */
import { runWorker, systemClock, systemFiles } from "../host/mod.ts";
import { serveReader, type ReaderWorkerInit } from "../sql/mod.ts";

runWorker((scope, initial) =>
  serveReader(scope, initial as ReaderWorkerInit, { files: systemFiles, monotonic: () => systemClock.monotonic() }),
);
