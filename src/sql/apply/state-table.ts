/**
 * The internal table: what must commit in the same SQLite transaction as the rows. One WITHOUT ROWID table, so that writing it leaves
 * `last_insert_rowid()` alone; closed to users by the authorizer; never in a backup or dump. `docs/formats/state-table.md`.
 *
 *     k                              a              b             v
 *     'applied'                      index          term
 *     'format'                       2
 *     'members'                      index                        the members as of the entry at that index; the replica's bytes
 *     'node'                                                      who this node is; the replica's bytes. The one row that differs between replicas
 *     'session:' 16 hex digits       sequence       index         outcome, JSON text as bytes; see sessions.ts
 *     'load:' 16 hex ':' 8 hex                                    a piece of a file that is being loaded
 */
import type { StatementSync } from "node:sqlite";
import { type EntryId, PumiceError } from "../../base/mod.ts";
import type { Connection } from "../connection/connection.ts";
import { STATE_FORMAT, STATE_TABLE } from "../connection/state-schema.ts";

/** What is known of a session. */
export interface SessionRow {
  readonly session: bigint;
  readonly sequence: bigint;
  /** Of the entry that used it last. Unit: log index. */
  readonly index: number;
}

const SESSION_PREFIX = "session:";
const SESSION_END = "session;";

/** The table, on the apply connection. */
export class StateTable {
  readonly #connection: Connection;
  readonly #setApplied: StatementSync;
  readonly #put: StatementSync;
  readonly #get: StatementSync;
  readonly #deleteRange: StatementSync;

  /** Creates the table if it is absent, and upgrades an older one if it `isUpgraded`. Needs the mode "own". @throws OldStateFormat, SQL_STATE, SQL_FOREIGN */
  constructor(connection: Connection, isUpgraded = true) {
    this.#connection = connection;
    connection.ensureStateTable(isUpgraded);
    const format = connection.text(`SELECT a FROM ${STATE_TABLE} WHERE k = 'format'`);
    if (format !== String(STATE_FORMAT)) throw new PumiceError("SQL_STATE", { format, known: STATE_FORMAT });
    this.#setApplied = connection.own(`UPDATE ${STATE_TABLE} SET a = ?, b = ? WHERE k = 'applied'`);
    this.#put = connection.own(`INSERT OR REPLACE INTO ${STATE_TABLE}(k, a, b, v) VALUES (?, ?, ?, ?)`);
    this.#get = connection.own(`SELECT v FROM ${STATE_TABLE} WHERE k = ?`);
    this.#deleteRange = connection.own(`DELETE FROM ${STATE_TABLE} WHERE k >= ? AND k < ?`);
  }

  /** @throws SQL_STATE */
  applied(): EntryId {
    const row = this.#connection.own(`SELECT a, b FROM ${STATE_TABLE} WHERE k = 'applied'`).get();
    const index = Number(row?.[0]);
    const term = Number(row?.[1]);
    if (!Number.isSafeInteger(index) || !Number.isSafeInteger(term)) throw new PumiceError("SQL_STATE", { index, term });
    return { index, term };
  }

  setApplied(applied: EntryId): void {
    this.#setApplied.run(BigInt(applied.index), BigInt(applied.term));
  }

  /** The members as of the applied index; undefined if no entry has told them yet. */
  members(): Uint8Array | undefined {
    return this.#bytes("members");
  }

  setMembers(index: number, members: Uint8Array): void {
    this.#put.run("members", BigInt(index), null, members);
  }

  /** Who this node is; undefined if nobody has told yet. */
  node(): Uint8Array | undefined {
    return this.#bytes("node");
  }

  setNode(node: Uint8Array): void {
    this.#put.run("node", null, null, node);
  }

  /** Rows that a database which takes the place of this one keeps: the members and who this node is. */
  own(): (readonly [key: string, index: bigint | null, value: Uint8Array])[] {
    const rows = this.#connection.own(`SELECT k, a, v FROM ${STATE_TABLE} WHERE k IN ('members', 'node')`).all();
    return rows.map(([key, index, value]) => [String(key), index === null ? null : (index as bigint), value as Uint8Array]);
  }

  /** In the order of their keys. */
  sessions(): SessionRow[] {
    const rows = this.#connection.own(`SELECT k, a, b FROM ${STATE_TABLE} WHERE k >= ? AND k < ?`).all(SESSION_PREFIX, SESSION_END);
    return rows.map((row) => ({
      session: BigInt(`0x${String(row[0]).slice(SESSION_PREFIX.length)}`),
      sequence: BigInt.asUintN(64, row[1] as bigint),
      index: Number(row[2]),
    }));
  }

  putSession(row: SessionRow, outcome: Uint8Array): void {
    this.#put.run(sessionKey(row.session), BigInt.asIntN(64, row.sequence), BigInt(row.index), outcome);
  }

  sessionOutcome(session: bigint): Uint8Array {
    return this.#blob(sessionKey(session));
  }

  deleteSession(session: bigint): void {
    const key = sessionKey(session);
    this.#deleteRange.run(key, `${key}~`);
  }

  putChunk(load: bigint, number: number, bytes: Uint8Array): void {
    this.#put.run(chunkKey(load, number), null, null, bytes);
  }

  /** A piece, or undefined if it is absent. */
  chunk(load: bigint, number: number): Uint8Array | undefined {
    return this.#bytes(chunkKey(load, number));
  }

  deleteChunks(load: bigint): void {
    const prefix = `load:${hex(load, 16)}`;
    this.#deleteRange.run(`${prefix}:`, `${prefix};`);
  }

  #blob(key: string): Uint8Array {
    const value = this.#bytes(key);
    if (value === undefined) throw new PumiceError("SQL_STATE", { key });
    return value;
  }

  #bytes(key: string): Uint8Array | undefined {
    const value = this.#get.get(key)?.[0];
    return value instanceof Uint8Array ? value : undefined;
  }
}

function sessionKey(session: bigint): string {
  return SESSION_PREFIX + hex(session, 16);
}

function chunkKey(load: bigint, number: number): string {
  return `load:${hex(load, 16)}:${hex(BigInt(number), 8)}`;
}

function hex(value: bigint, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
