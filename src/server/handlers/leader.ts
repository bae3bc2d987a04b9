/** GET /leader: who leads. POST /leader: asks the leader to step down, which a single node cannot do. */
import type { Exchange } from "../exchange.ts";
import { goJson } from "../go-json.ts";
import { HttpError } from "../http-error.ts";
import { describeNode } from "./nodes.ts";

/** @throws HttpError 503 if no leader is known, 500 for a step down */
export function handleLeader(exchange: Exchange): void {
  const { app } = exchange;
  const replica = app.parts.replica();
  const leader = replica?.leader();
  if (replica === undefined || leader === undefined) {
    app.counters.http.leader_not_found++;
    throw new HttpError(503, "leader not found");
  }
  if (exchange.request.method === "POST") throw new HttpError(500, "stepdown: this is the only voting node, nobody could lead after it");
  exchange.sendJson(goJson(describeNode(exchange, replica, leader)));
}
