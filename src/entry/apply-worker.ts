/** The apply thread: the only writer of the database. */
import { runWorker, systemClock, systemFiles } from "../host/mod.ts";
import { serveApply, type SqlWorkerInit } from "../sql/mod.ts";

runWorker((scope, initial) =>
  serveApply(scope, initial as SqlWorkerInit, { files: systemFiles, monotonic: () => systemClock.monotonic() }),
);
