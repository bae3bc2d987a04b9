/** entry: the composition roots. `node.ts` is a whole node; the other files are the entries of its worker threads. */
export { startNode, type NodeSettings, type RunningNode } from "./node.ts";
export { openLsmTarget, type LsmTarget } from "./lsm-tools.ts";
