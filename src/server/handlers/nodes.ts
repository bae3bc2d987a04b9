/** GET /nodes: the members of the cluster, whether they answer, and how fast. A single node lists itself. */
import { scheme } from "../app.ts";
import type { Exchange } from "../exchange.ts";
import { formatGoDuration } from "../go-duration.ts";
import { goJson } from "../go-json.ts";
import { HttpError } from "../http-error.ts";

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
  if (exchange.app.parts.replica() === undefined) throw new HttpError(503, "store not open");
  const self = describeSelf(exchange);
  exchange.sendJson(goJson(exchange.params.version === "2" ? { nodes: [self] } : { [self.id]: self }));
}

/** This node. Its time is that of asking the replica, on this machine, who leads. */
export function describeSelf(exchange: Exchange): NodeDescription {
  const { app } = exchange;
  const { node } = app.parts;
  const startedMs = performance.now();
  const leader = app.parts.replica()?.leader();
  const elapsedNs = Math.max(1, Math.round((performance.now() - startedMs) * 1e6));
  return {
    id: node.id,
    api_addr: `${scheme(app.options)}://${app.advertisedAddress()}`,
    addr: node.raftAddress,
    version: node.version,
    voter: true,
    reachable: true,
    leader: leader?.id === node.id,
    time: elapsedNs / 1e9,
    time_s: formatGoDuration(elapsedNs),
  };
}
