/** GET /nodes: the members of the cluster, whether they answer, and how fast. A single node lists itself. */
import type { Exchange } from "../exchange.ts";
import { formatGoDuration } from "../go-duration.ts";
import { goJson } from "../go-json.ts";
import { HttpError } from "../http-error.ts";
import type { Peer } from "../../replica/mod.ts";
import type { ReplicaPort } from "../replica-port.ts";

/** A member, with its keys in rqlite's order. */
export interface NodeDescription {
  readonly id: string;
  readonly api_addr: string;
  readonly addr: string;
  readonly version: string;
  readonly voter: boolean;
  readonly reachable: boolean;
  readonly leader: boolean;
  readonly time: number;
  readonly time_s: string;
}

/** An object of members by id, or with `ver=2` an object with a list of them. @throws HttpError 503 while the store is not open */
export function handleNodes(exchange: Exchange): void {
  const replica = exchange.app.parts.replica();
  if (replica === undefined) throw new HttpError(503, "store not open");
  const nodes = replica.nodes().map((peer) => describeNode(exchange, replica, peer));
  exchange.sendJson(goJson(exchange.params.version === "2" ? { nodes } : Object.fromEntries(nodes.map((node) => [node.id, node]))));
}

/** A member. This node reaches itself: its time is that of asking the replica, on this machine, who leads. */
export function describeNode(exchange: Exchange, replica: ReplicaPort, peer: Peer): NodeDescription {
  const startedMs = performance.now();
  const isLeader = replica.leader()?.nodeId === peer.nodeId;
  const isSelf = replica.self().nodeId === peer.nodeId;
  const elapsedNs = isSelf ? Math.max(1, Math.round((performance.now() - startedMs) * 1e6)) : 0;
  return {
    id: peer.name,
    api_addr: peer.apiAddress,
    addr: peer.raftAddress,
    version: isSelf ? exchange.app.parts.node.version : "",
    voter: peer.isVoter,
    reachable: isSelf,
    leader: isLeader,
    time: elapsedNs / 1e9,
    time_s: formatGoDuration(elapsedNs),
  };
}
