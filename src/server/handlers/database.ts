/** What the handlers under /db share: the replica, the format that is asked for, and the answer for an outcome. */
import { PumiceError } from "../../base/mod.ts";
import type { Exchange } from "../exchange.ts";
import type { Params } from "../params.ts";
import type { ResultFormat } from "../../sql/mod.ts";
import type { WriteOutcome } from "../../replica/mod.ts";
import type { ReplicaPort } from "../replica-port.ts";

/** How long a client waits for anything that has no timeout of its own, ms. */
export const DEFAULT_TIMEOUT_MS = 30_000;

/** The replica. @throws SERVER_STORE_NOT_OPEN while it is being opened */
export function openReplica(exchange: Exchange): ReplicaPort {
  const replica = exchange.app.parts.replica();
  if (replica === undefined) throw new PumiceError("SERVER_STORE_NOT_OPEN");
  return replica;
}

/** True for `Content-Type: text/plain`, with any parameters: the body is one statement as it stands. */
export function isPlainText(exchange: Exchange): boolean {
  return exchange.request.headers["content-type"]?.startsWith("text/plain") === true;
}

/** How results are to be written; undefined: by default. */
export function formatOf(params: Params): ResultFormat | undefined {
  const { associative, blobArray, qualifyColumns } = params;
  return associative || blobArray || qualifyColumns ? { associative, blobArray, qualifyColumns } : undefined;
}

/** Sends what came of a request. `isDone`: it may have written. */
export function sendOutcome(exchange: Exchange, outcome: WriteOutcome, isDone = false): void {
  const timeMs = exchange.elapsedMs();
  if (outcome.kind === "error") {
    exchange.sendEnvelope({ results: "", error: outcome.error, timeMs }, false);
    return;
  }
  const raftIndex = exchange.params.raftIndex ? outcome.raftIndex : undefined;
  exchange.sendEnvelope({ results: outcome.results, timeMs, raftIndex, isDone });
}
