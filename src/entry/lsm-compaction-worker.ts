/** The thread on which `pumice/lsm` merges: it opens the store by its address. */
import { runWorker } from "../host/mod.ts";
import { serveCompaction } from "../lsm/mod.ts";
import { loadFunctions } from "./lsm-functions.ts";
import { openLsmTarget } from "./lsm-tools.ts";

/** What the thread is told: where the store is, and the module of the program's functions. */
export interface CompactionWorkerInit {
  readonly address: string;
  readonly root: string;
  readonly isSynced: boolean;
  /** URL; undefined: the program has none. */
  readonly functions: string | undefined;
}

runWorker((scope, initial) => {
  const { address, root, isSynced, functions } = initial as CompactionWorkerInit;
  const { components, root: place } = openLsmTarget(address, { env: process.env, isSynced }, root);
  if (functions === undefined) serveCompaction(scope, { root: place, components });
  // If it cannot be loaded here, though it was there, the thread ends with the error.
  else void loadFunctions(functions).then((loaded) => serveCompaction(scope, { root: place, components: { ...components, ...loaded } }));
});
