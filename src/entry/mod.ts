/**
 * entry: the composition roots. `node.ts` is a whole node, loaded when one is started: a tool that works on an LSM store needs neither SQL nor a server.
 * The other files are the entries of its worker threads.
 */
import type { NodeSettings, RunningNode } from "./node.ts";

export { openLsmTarget, type LsmTarget } from "./lsm-tools.ts";
export type { NodeSettings, RunningNode };

/**
 * Starts a node and resolves when it is ready to serve.
 * @throws NODE_DIRECTORY, NODE_DIRECTORY_LOCKED, SERVER_*, LOG_*, SQL_*, REPLICA_*
 */
export async function startNode(settings: NodeSettings): Promise<RunningNode> {
  const node = await import("./node.ts");
  return await node.startNode(settings);
}
