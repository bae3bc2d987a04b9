/** POST /snapshot and POST /reap: there are no snapshots of the Raft log yet, and both say so. */
import type { Exchange } from "../exchange.ts";
import { HttpError } from "../http-error.ts";

const REASON =
  "not implemented: this version keeps no snapshots in object storage; SQLite's file is checkpointed and the Raft log is cut by themselves (-raft-snap-wal-size)";

/** @throws HttpError 501 */
export function handleSnapshot(_exchange: Exchange): void {
  throw new HttpError(501, REASON);
}

/** @throws HttpError 501 */
export function handleReap(_exchange: Exchange): void {
  throw new HttpError(501, REASON);
}
