/**
 * Transactions of a simulated LSM life, many at a time, over keys of their own that never expire, and a bank.
 *
 * 1. What a transaction reads is the state of its beginning, with its own writes.
 * 2. One that commits under serializable isolation would have read the same at its commit: its keys, and its ranges as a whole. So all of
 *    them are as if one came after the other, and there is no write skew and no phantom.
 * 3. One that commits under snapshot isolation wrote nothing that was written since its beginning.
 * 4. One that is refused had such a conflict.
 * 5. The bank's total is the same in whatever sees the bank at all (invariant 42).
 */
import { assert, fromUtf8, isPumiceError, toHex, utf8 } from "../../base/mod.ts";
import {
  MERGE,
  TOMBSTONE,
  VALUE,
  WriteBatch,
  type Db,
  type KeyValue,
  type RowKind,
  type Transaction,
  type WriteHandle,
} from "../../lsm/mod.ts";
import { differenceOf, partOf, type LsmModel, type ModelState, type ModelWrite } from "./model.ts";
import { LsmSimFailure, type LsmWorld } from "./world.ts";

/** Few, so that transactions meet. */
const KEYS = 4;
const ACCOUNTS = 6;
const DEPOSIT = 100;
/** Transactions at a time. */
const OPEN_MAX = 5;
const TX_PREFIX = "tx-";
const ACCOUNT_PREFIX = "acct-";

/** @throws LsmSimFailure if some of the bank is seen, and not all of its money. */
export function checkBank(rows: readonly Pick<KeyValue, "key" | "value">[], where: string): void {
  const accounts = rows.filter((row) => fromUtf8(row.key).startsWith(ACCOUNT_PREFIX));
  const total = accounts.reduce((sum, row) => sum + Number(fromUtf8(row.value)), 0);
  if (accounts.length === 0 || (accounts.length === ACCOUNTS && total === ACCOUNTS * DEPOSIT)) return;
  throw new LsmSimFailure(`${where}: the bank has ${accounts.length} accounts with ${total}`);
}

/** What the workload tells the life. */
export interface TransactionHooks {
  /** A commit was begun: waits for it as for any write. */
  onCommit(db: Db, seq: number, done: Promise<unknown>): void;
}

/** What a transaction has read and written, for the checks. */
interface Trail {
  readonly transaction: Transaction;
  readonly start: ModelState;
  readonly writes: ModelWrite[];
  /** Hex. */
  readonly readKeys: Set<string>;
  readonly generation: number;
  /** [start, end) in hex. */
  readonly readRanges: (readonly [string, string])[];
}

/** See the header of this file. */
export class TransactionWorkload {
  committed = 0;
  conflicts = 0;
  readonly #world: LsmWorld;
  readonly #model: LsmModel;
  readonly #hooks: TransactionHooks;
  #open = 0;
  /** Counts processes: what is left of a transaction of an earlier one does nothing any more. */
  #generation = 0;

  constructor(world: LsmWorld, model: LsmModel, hooks: TransactionHooks) {
    this.#world = world;
    this.#model = model;
    this.#hooks = hooks;
  }

  /** True if none is under way. */
  get isIdle(): boolean {
    return this.#open === 0;
  }

  /** The process ended, and all its transactions. */
  forget(): void {
    this.#open = 0;
    this.#generation++;
  }

  /** Opens the bank, if it is not open. */
  openBank(db: Db): void {
    if (this.#model.state.has(toHex(account(0)))) return;
    this.#commitPlainly(
      db,
      Array.from({ length: ACCOUNTS }, (_, i) => ({ key: account(i), kind: VALUE, value: utf8(String(DEPOSIT)) })),
    );
  }

  /** A write to a key of the transactions by somebody outside of them: what they conflict with. */
  disturb(db: Db): void {
    this.#commitPlainly(db, [this.#drawWrite()]);
  }

  /** Begins a transaction, which goes on beside. */
  begin(db: Db): void {
    if (this.#open >= OPEN_MAX) return;
    this.#open++;
    const isTransfer = this.#model.state.has(toHex(account(0))) && this.#world.chance(50);
    const task = isTransfer ? this.#transfer(db) : this.#mixed(db);
    const excuses = ["LSM_CLOSED", "LSM_FENCED", "LSM_BUSY", "STORE_UNAVAILABLE"] as const;
    const generation = this.#generation;
    void this.#world.beside(isTransfer ? "transfer" : "tx", task, excuses).then(() => {
      if (generation === this.#generation) this.#open--;
    });
  }

  async #mixed(db: Db): Promise<void> {
    const trail = this.#trail(db);
    const steps = 1 + this.#world.below(6);
    for (let i = 0; i < steps; i++) {
      if (this.#world.chance(70)) await this.#world.time.sleep(this.#world.below(500));
      const roll = this.#world.below(10);
      if (roll < 3) await this.#readKey(trail, utf8(`${TX_PREFIX}${this.#world.below(KEYS)}`));
      else if (roll < 5) await this.#readRange(trail);
      else this.#write(trail, this.#drawWrite());
    }
    if (this.#world.chance(10)) trail.transaction.rollback();
    else this.#commit(db, trail);
  }

  async #transfer(db: Db): Promise<void> {
    const trail = this.#trail(db);
    const from = account(this.#world.below(ACCOUNTS));
    const to = account(this.#world.below(ACCOUNTS));
    const amount = 1 + this.#world.below(20);
    const before = Number(fromUtf8((await this.#readKey(trail, from)) ?? new Uint8Array(0)));
    if (this.#world.chance(50)) await this.#world.time.sleep(this.#world.below(400));
    this.#write(trail, { key: from, kind: VALUE, value: utf8(String(before - amount)) });
    // Read after the write: a transfer to the same account sees what it took.
    const there = Number(fromUtf8((await this.#readKey(trail, to)) ?? new Uint8Array(0)));
    this.#write(trail, { key: to, kind: VALUE, value: utf8(String(there + amount)) });
    this.#commit(db, trail);
  }

  #trail(db: Db): Trail {
    const transaction = db.begin(this.#world.chance(60) ? "serializable" : "snapshot");
    return { transaction, start: this.#model.frozen(), writes: [], readKeys: new Set(), readRanges: [], generation: this.#generation };
  }

  /** What the transaction must see now of [start, end). */
  #expected(trail: Trail, start: string, end: string): ModelState {
    return partOf(overlaid(trail.start, trail.writes), start, end);
  }

  async #readKey(trail: Trail, key: Uint8Array): Promise<Uint8Array | undefined> {
    const hex = toHex(key);
    const expected = this.#expected(trail, hex, `${hex}00`);
    trail.readKeys.add(hex);
    const value = await trail.transaction.get(key);
    this.#world.check(differenceOf(value === undefined ? [] : [{ key, value }], expected, this.#world.times()), "get in a transaction");
    return value;
  }

  async #readRange(trail: Trail): Promise<void> {
    const isBank = this.#world.chance(20);
    const prefix = isBank ? ACCOUNT_PREFIX : this.#world.chance(50) ? TX_PREFIX : `${TX_PREFIX}${this.#world.below(KEYS)}`;
    const start = toHex(utf8(prefix));
    const range = [start, `${start}g`] as const;
    const expected = this.#expected(trail, ...range);
    trail.readRanges.push(range);
    const order = this.#world.chance(50) ? "ascending" : "descending";
    const scan = trail.transaction.scan({ prefix: utf8(prefix), order });
    // What is asked for counts as read, though only some of it is looked at.
    if (this.#world.chance(20)) {
      await scan.nextBatch(1);
      scan.dispose();
      return;
    }
    const rows = await scan.toArray();
    if (order === "descending") rows.reverse();
    this.#world.check(differenceOf(rows, expected, this.#world.times()), "scan in a transaction");
    // In the middle of a transfer the transaction's own view of the bank is not whole; such a transaction does not scan it.
    if (isBank) checkBank(rows, "scan in a transaction");
  }

  #write(trail: Trail, write: ModelWrite): void {
    const { transaction } = trail;
    const ttl = { ttl: "never" } as const;
    if (write.kind === VALUE) transaction.put(write.key, write.value, ttl);
    else if (write.kind === TOMBSTONE) transaction.delete(write.key);
    else transaction.merge(write.key, write.value, ttl);
    trail.writes.push(write);
  }

  /** Commits, and says whether that, or the refusal, was right. */
  #commit(db: Db, trail: Trail): void {
    const { transaction } = trail;
    if (trail.generation !== this.#generation) {
      transaction.rollback();
      return;
    }
    const { lastSeq: before, lastTick } = db.status();
    const changed = this.#model.keysAfter(transaction.seq);
    const done = transaction.commit({ awaitDurable: this.#world.chance(50) });
    const after = db.status();
    const conflict = conflictOf(trail, changed);
    if (after.lastSeq > before) {
      assert(after.lastSeq === before + 1, "a transaction is one commit");
      assert(conflict === undefined, "what commits does not conflict");
      assert(after.lastTick >= lastTick, "stamps never fall");
      this.#model.commit({
        seq: after.lastSeq,
        createTs: after.lastTick,
        writes: trail.writes,
        wal: db.settings.walEnabled ? "all" : "none",
      });
      this.committed++;
      this.#hooks.onCommit(db, after.lastSeq, done);
      return;
    }
    const isOver = after.closed !== undefined;
    void done.then(
      () => this.#world.guard(() => assert(isOver || trail.writes.length === 0, "what was written is committed")),
      (error: unknown) => {
        if (isOver || isPumiceError(error, "LSM_BUSY") || isPumiceError(error, "LSM_CLOSED")) return;
        if (!isPumiceError(error, "LSM_CONFLICT")) this.#world.blame(error);
        else if (conflict === undefined) this.#world.blame(new LsmSimFailure("a transaction was refused without a conflict"));
        else this.conflicts++;
      },
    );
  }

  #commitPlainly(db: Db, writes: readonly ModelWrite[]): void {
    const batch = new WriteBatch();
    for (const { key, kind, value } of writes) {
      if (kind === VALUE) batch.put(key, value, { ttl: "never" });
      else if (kind === TOMBSTONE) batch.delete(key);
      else batch.merge(key, value, { ttl: "never" });
    }
    let handle: WriteHandle;
    try {
      handle = db.writeSync(batch);
    } catch (error) {
      if (isPumiceError(error, "LSM_BUSY")) return;
      throw error;
    }
    this.#model.commit({ ...handle, writes, wal: db.settings.walEnabled ? "all" : "none" });
  }

  #drawWrite(): ModelWrite {
    const key = utf8(`${TX_PREFIX}${this.#world.below(KEYS)}`);
    const kind = this.#world.oneOf<RowKind>([VALUE, VALUE, TOMBSTONE, MERGE]);
    return { key, kind, value: kind === TOMBSTONE ? new Uint8Array(0) : this.#world.someValue() };
  }
}

/** Why the transaction must not commit, if `changed` (hex) was written since its beginning. */
function conflictOf(trail: Trail, changed: ReadonlySet<string>): string | undefined {
  const isSerializable = trail.transaction.isolation === "serializable";
  const written = new Set(trail.writes.map((write) => toHex(write.key)));
  for (const key of changed) {
    if (written.has(key)) return key;
    if (isSerializable && (trail.readKeys.has(key) || trail.readRanges.some(([start, end]) => key >= start && key < end))) return key;
  }
  return undefined;
}

function overlaid(start: ModelState, writes: readonly ModelWrite[]): ModelState {
  const state = new Map(start);
  for (const { key, kind, value } of writes) {
    const hex = toHex(key);
    const part = { hex: toHex(value), expireTs: undefined };
    if (kind === TOMBSTONE) state.delete(hex);
    else state.set(hex, kind === MERGE ? [...(state.get(hex) ?? []), part] : [part]);
  }
  return state;
}

function account(index: number): Uint8Array {
  return utf8(`${ACCOUNT_PREFIX}${index}`);
}
