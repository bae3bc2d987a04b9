/** The thread on which `pumice/lsm` merges: it opens the store by its address. */
import { runWorker } from "../host/mod.ts";
import { serveCompaction } from "../lsm/mod.ts";
import { openLsmTarget } from "./lsm-tools.ts";

/** What the thread is told: where the store is. */
export interface CompactionWorkerInit {
  readonly address: string;
  readonly root: string;
  readonly isSynced: boolean;
}

runWorker((scope, initial) => {
  const { address, root, isSynced } = initial as CompactionWorkerInit;
  const { components, root: place } = openLsmTarget(address, { env: process.env, isSynced }, root);
  serveCompaction(scope, { root: place, components });
});
