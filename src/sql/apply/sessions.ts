/**
 * Outcomes by request id: a request that was sent twice is applied once, and the second answer is the first one's.
 *
 * 1. A session has one request under way at a time and its numbers grow, so the outcome of its last one is all that is kept.
 * 2. At most SESSIONS_MAX sessions are kept; the one used longest ago, by log index, makes room. So the table is a function of the log.
 * 3. What is in memory mirrors the table as of the last commit, plus the transaction under way; `rollback` takes the latter back.
 */
import { fromUtf8, utf8 } from "../../base/mod.ts";
import type { RequestId } from "../command/command.ts";
import type { EntryResult } from "../result/results.ts";
import type { SessionRow, StateTable } from "./state-table.ts";

/** FROZEN: which outcomes are still known is part of the state. */
const SESSIONS_MAX = 1024;
/** FROZEN. Longer outcomes are replaced by a note. Unit: UTF-8 bytes. */
const OUTCOME_BYTES_MAX = 1024 * 1024;
const OUTCOME_TOO_LONG = "applied, but the results were too large to be kept for a second answer";
const SUPERSEDED = "a later request of the same session was applied already";

/** FROZEN. First byte of a stored outcome. */
const OUTCOME_RESULTS = 0;
const OUTCOME_ERROR = 1;

/** The sessions of one database. */
export class Sessions {
  readonly #table: StateTable;
  #rows: Map<bigint, SessionRow>;
  /** Rows as they were before the transaction under way; undefined: absent. */
  readonly #before = new Map<bigint, SessionRow | undefined>();

  constructor(table: StateTable) {
    this.#table = table;
    this.#rows = new Map(table.sessions().map((row) => [row.session, row]));
  }

  /** The answer to a request that is not to be applied again, or undefined if it is to be applied. */
  known(id: RequestId): EntryResult | undefined {
    const row = this.#rows.get(id.session);
    if (row === undefined || id.sequence > row.sequence) return undefined;
    if (id.sequence < row.sequence) return { results: "", error: SUPERSEDED };
    const bytes = this.#table.sessionOutcome(id.session);
    const text = fromUtf8(bytes.subarray(1));
    return bytes[0] === OUTCOME_ERROR ? { results: "", error: text } : { results: text };
  }

  /** Stores the outcome in the transaction under way. */
  remember(id: RequestId, index: number, result: EntryResult): void {
    const row = { session: id.session, sequence: id.sequence, index };
    if (!this.#rows.has(id.session) && this.#rows.size >= SESSIONS_MAX) this.#evict();
    this.#set(id.session, row);
    this.#table.putSession(row, encodeOutcome(result));
  }

  #evict(): void {
    let oldest: SessionRow | undefined;
    for (const row of this.#rows.values()) if (oldest === undefined || row.index < oldest.index) oldest = row;
    if (oldest === undefined) return;
    this.#set(oldest.session, undefined);
    this.#table.deleteSession(oldest.session);
  }

  #set(session: bigint, row: SessionRow | undefined): void {
    if (!this.#before.has(session)) this.#before.set(session, this.#rows.get(session));
    if (row === undefined) this.#rows.delete(session);
    else this.#rows.set(session, row);
  }

  commit(): void {
    if (this.#before.size > 0) this.#before.clear();
  }

  rollback(): void {
    for (const [session, row] of this.#before) {
      if (row === undefined) this.#rows.delete(session);
      else this.#rows.set(session, row);
    }
    this.#before.clear();
  }

  /** Every row with its outcome, for a database that takes the place of this one. */
  *all(): Generator<{ readonly row: SessionRow; readonly outcome: Uint8Array }> {
    for (const row of this.#rows.values()) yield { row, outcome: this.#table.sessionOutcome(row.session) };
  }
}

function encodeOutcome(result: EntryResult): Uint8Array {
  const isError = result.error !== undefined;
  const text = isError ? utf8(result.error) : typeof result.results === "string" ? utf8(result.results) : result.results;
  const isTooLong = text.length > OUTCOME_BYTES_MAX;
  const kept = isTooLong ? utf8(OUTCOME_TOO_LONG) : text;
  const bytes = new Uint8Array(kept.length + 1);
  bytes[0] = isError || isTooLong ? OUTCOME_ERROR : OUTCOME_RESULTS;
  bytes.set(kept, 1);
  return bytes;
}
