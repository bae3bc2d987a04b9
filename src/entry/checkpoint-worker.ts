/** The checkpoint thread: moves the WAL into the database file beside the apply thread. */
import { runWorker } from "../host/mod.ts";
import { serveCheckpointer, type SqlWorkerInit } from "../sql/mod.ts";

runWorker((scope, initial) => serveCheckpointer(scope, initial as SqlWorkerInit));
