/** What the server needs of a replica, and no more: tests of the queue put their own in its place. */
import type { Replica } from "../replica/mod.ts";

/** A replica, as the server sees it. */
export type ReplicaPort = Pick<
  Replica,
  "write" | "read" | "readUnlessWrite" | "load" | "backup" | "status" | "leader" | "nodes" | "self" | "isReady" | "waitApplied"
>;
