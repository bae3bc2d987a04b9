/** A reader thread: one read-only connection. */
import { runWorker, systemClock, systemFiles } from "../host/mod.ts";
import { serveReader, type SqlWorkerInit } from "../sql/mod.ts";

runWorker((scope, initial) =>
  serveReader(scope, initial as SqlWorkerInit, { files: systemFiles, monotonic: () => systemClock.monotonic() }),
);
