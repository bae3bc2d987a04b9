/**
 * What a database must hold after operations whose outcomes are known, unknown or refused. Every operation leaves a row in `ops`, in the order of its
 * application; all other tables follow from those rows. So the model is a replay, and the rows say which of the unknown operations happened.
 *
 * Laws:
 * 1. What was acknowledged is there, once, as long as no load replaced the database.
 * 2. What was refused, or failed as a whole, is not there, and never will be.
 * 3. Rows only come behind those that were there; the times of one leader do not go back.
 * 4. Registers, counter and accounts are what the rows give.
 */
import type { Random } from "../../base/mod.ts";
import type { Statement } from "../../sql/mod.ts";

/** What an operation does. `fail` violates a constraint inside a transaction, `partial` outside of one, between two statements that succeed. */
export type WriteKind = "set" | "add" | "move" | "blob" | "fail" | "partial" | "schema";

/** A write of a client. */
export interface WriteOperation {
  readonly id: number;
  readonly kind: WriteKind;
  /** Register, account or size. */
  readonly a: number;
  /** The other account. */
  readonly b: number;
}

/** What is known of a write. `open`: it may have happened, and may still. `gone`: it did not happen, and cannot any more. */
export type Fate = "open" | "done" | "refused" | "gone";

export const REGISTERS = 4;
export const ACCOUNTS = 3;
export const DEPOSIT = 100;

/** The tables of a generation: a load begins the next one. */
export function schemaOf(generation: number): string[] {
  return [
    "CREATE TABLE ops(n INTEGER PRIMARY KEY, id INTEGER NOT NULL, kind TEXT NOT NULL, a INTEGER, b INTEGER, t TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%f')))",
    "CREATE TABLE registers(k INTEGER PRIMARY KEY, v INTEGER NOT NULL)",
    "CREATE TABLE counter(n INTEGER NOT NULL)",
    "CREATE TABLE accounts(k INTEGER PRIMARY KEY, balance INTEGER NOT NULL CHECK(balance >= 0))",
    "CREATE TABLE blobs(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
    "CREATE TABLE one(k INTEGER PRIMARY KEY)",
    "CREATE TABLE generation(n INTEGER NOT NULL)",
    `INSERT INTO generation VALUES(${generation})`,
    "INSERT INTO one VALUES(1)",
    "INSERT INTO counter VALUES(0)",
    ...Array.from({ length: ACCOUNTS }, (_, k) => `INSERT INTO accounts VALUES(${k}, ${DEPOSIT})`),
  ];
}

/** A write as SQL. `isTransaction`: all of it or nothing. */
export function statementsOf({ id, kind, a, b }: WriteOperation): { readonly statements: Statement[]; readonly isTransaction: boolean } {
  const params = [BigInt(id), kind, BigInt(a), BigInt(b)];
  const row: Statement = { sql: "INSERT INTO ops(id, kind, a, b) VALUES(?, ?, ?, ?)", params };
  const add: Statement = { sql: "UPDATE counter SET n = n + 1" };
  const conflict: Statement = { sql: "INSERT INTO one VALUES(1)" };
  switch (kind) {
    case "set":
      return { statements: [row, { sql: "REPLACE INTO registers VALUES(?, ?)", params: [BigInt(a), BigInt(id)] }], isTransaction: true };
    case "add":
      return { statements: [row, add], isTransaction: true };
    case "move":
      return {
        statements: [
          row,
          { sql: "UPDATE accounts SET balance = balance - 1 WHERE k = ?", params: [BigInt(a)] },
          { sql: "UPDATE accounts SET balance = balance + 1 WHERE k = ?", params: [BigInt(b)] },
        ],
        isTransaction: true,
      };
    case "blob":
      return {
        statements: [row, { sql: "REPLACE INTO blobs VALUES(?, randomblob(?))", params: [BigInt(id), BigInt(a)] }],
        isTransaction: true,
      };
    case "fail":
      return { statements: [row, add, conflict], isTransaction: true };
    case "partial":
      return { statements: [row, conflict, add], isTransaction: false };
    default:
      return {
        statements: [row, { sql: `CREATE INDEX by_${id} ON ops(id)` }, { sql: `DROP INDEX IF EXISTS by_${a}` }],
        isTransaction: true,
      };
  }
}

/** The next write of a client. */
export function drawWrite(id: number, random: Random): WriteOperation {
  const kinds: readonly WriteKind[] = ["set", "set", "set", "add", "add", "move", "blob", "blob", "fail", "partial", "schema"];
  const kind = kinds[random.below(kinds.length)] as WriteKind;
  const a = kind === "set" ? random.below(REGISTERS) : kind === "blob" ? 1 + random.below(20_000) : random.below(ACCOUNTS);
  return { id, kind, a, b: random.below(ACCOUNTS) };
}

/** The tables, as a strong read gives them. */
export interface Contents {
  readonly generation: number;
  readonly ops: readonly (readonly [n: number, id: number, kind: string, a: number, b: number, t: string])[];
  readonly registers: readonly (readonly [number, number])[];
  readonly counter: number;
  readonly accounts: readonly (readonly [number, number])[];
  readonly blobs: readonly (readonly [number, number])[];
}

/** What reads them, in the order of Contents. */
export const CONTENTS_SQL: readonly string[] = [
  "SELECT n FROM generation",
  "SELECT n, id, kind, a, b, t FROM ops ORDER BY n",
  "SELECT k, v FROM registers ORDER BY k",
  "SELECT n FROM counter",
  "SELECT k, balance FROM accounts ORDER BY k",
  "SELECT id, length(bytes) FROM blobs ORDER BY id",
];

/** Contents from the rows of CONTENTS_SQL. */
export function contentsOf(rows: readonly (readonly (readonly unknown[])[])[]): Contents {
  const [generation, ops, registers, counter, accounts, blobs] = rows;
  return {
    generation: Number(generation?.[0]?.[0]),
    ops: (ops ?? []) as Contents["ops"],
    registers: (registers ?? []) as Contents["registers"],
    counter: Number(counter?.[0]?.[0]),
    accounts: (accounts ?? []) as Contents["accounts"],
    blobs: (blobs ?? []) as Contents["blobs"],
  };
}

/** The writes of one generation and what is known of them. */
export class Model {
  readonly generation: number;
  readonly #writes = new Map<number, { readonly operation: WriteOperation; fate: Fate }>();
  /** Rows that some look has shown: they stay. */
  #shown: Contents["ops"] = [];
  /** Rows before which a process started: its clock may be behind. */
  readonly #starts = new Set<number>();

  constructor(generation: number) {
    this.generation = generation;
  }

  issued(operation: WriteOperation): void {
    if (!this.#writes.has(operation.id)) this.#writes.set(operation.id, { operation, fate: "open" });
  }

  became(id: number, fate: Fate): void {
    const write = this.#writes.get(id);
    if (write !== undefined) write.fate = fate;
  }

  /** Whether `id` has shown in a look. */
  hasShown(id: number): boolean {
    return this.#shown.some((row) => row[1] === id);
  }

  /** The process that had open writes under way has ended, and the next one shows `contents`: what is not there never will be, but for `retried`. */
  settle(contents: Contents, retried: ReadonlySet<number>): void {
    this.#starts.add(contents.ops.length);
    const there = new Set(contents.ops.map((row) => row[1]));
    for (const [id, write] of this.#writes) {
      if (write.fate === "open" && !retried.has(id)) write.fate = there.has(id) ? "done" : "gone";
    }
  }

  /** What is wrong with `contents`, a look at the database when nothing was under way. */
  check(contents: Contents): string[] {
    return [...this.#checkRows(contents), ...checkTables(contents)];
  }

  /** Laws 1 to 3. Notes what was shown. */
  #checkRows({ generation, ops }: Contents): string[] {
    const wrong: string[] = [];
    if (generation !== this.generation) wrong.push(`generation ${generation} instead of ${this.generation}`);
    const seen = new Set<number>();
    for (const [at, row] of ops.entries()) {
      const [n, id, kind, a, b, time] = row;
      const write = this.#writes.get(id);
      if (write === undefined) wrong.push(`operation ${id} was never issued`);
      else if (write.operation.kind !== kind || write.operation.a !== a || write.operation.b !== b)
        wrong.push(`operation ${id} is another one`);
      else if (write.fate === "refused" || write.fate === "gone" || kind === "fail")
        wrong.push(`operation ${id} (${kind}) was ${write.fate} and is there`);
      if (seen.has(id)) wrong.push(`operation ${id} was applied twice`);
      seen.add(id);
      if (n !== at + 1) wrong.push(`row ${at + 1} has number ${n}`);
      if (at > 0 && !this.#starts.has(at) && time < (ops[at - 1]?.[5] ?? "")) wrong.push(`the time of row ${n} goes back`);
    }
    for (const [id, { operation, fate }] of this.#writes) {
      if (fate === "done" && operation.kind !== "fail" && !seen.has(id))
        wrong.push(`operation ${id} (${operation.kind}) was acknowledged and is lost`);
    }
    for (const [at, row] of this.#shown.entries()) {
      if (ops[at]?.[1] !== row[1]) wrong.push(`row ${at + 1} was operation ${row[1]} and is ${ops[at]?.[1]}`);
    }
    this.#shown = ops;
    return wrong;
  }
}

/** Law 4. */
export function checkTables({ ops, registers, counter, accounts, blobs }: Contents): string[] {
  const expected = {
    registers: new Map<number, number>(),
    counter: 0,
    accounts: new Map<number, number>(),
    blobs: new Map<number, number>(),
  };
  for (let k = 0; k < ACCOUNTS; k++) expected.accounts.set(k, DEPOSIT);
  const pay = (k: number, amount: number): void => void expected.accounts.set(k, (expected.accounts.get(k) ?? 0) + amount);
  for (const [, id, kind, a, b] of ops) {
    if (kind === "set") expected.registers.set(a, id);
    if (kind === "add" || kind === "partial") expected.counter++;
    if (kind === "blob") expected.blobs.set(id, a);
    if (kind === "move") {
      pay(a, -1);
      pay(b, 1);
    }
  }
  const wrong: string[] = [];
  const compare = (name: string, actual: readonly (readonly [number, number])[], wanted: ReadonlyMap<number, number>): void => {
    const sorted = [...wanted].sort((left, right) => left[0] - right[0]);
    if (JSON.stringify(actual) !== JSON.stringify(sorted))
      wrong.push(`${name} ${JSON.stringify(actual)} instead of ${JSON.stringify(sorted)}`);
  };
  compare("registers", registers, expected.registers);
  compare("accounts", accounts, expected.accounts);
  compare("blobs", blobs, expected.blobs);
  if (counter !== expected.counter) wrong.push(`counter ${counter} instead of ${expected.counter}`);
  return wrong;
}
