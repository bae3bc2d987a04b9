/** Runs the conformance suite's worker whose name came as this thread's name. */
import * as threads from "node:worker_threads";
import { runWorker } from "../../../src/host/mod.ts";
import { conformanceWorkers } from "../../base/spawner-conformance.ts";

const main = conformanceWorkers.get(threads.threadName ?? "");
if (main === undefined) throw new Error(`no conformance worker: ${threads.threadName}`);
runWorker(main);
