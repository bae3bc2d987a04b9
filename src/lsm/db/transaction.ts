/**
 * Transactions: optimistic. Reads see a snapshot and the transaction's own writes; conflicts show at commit.
 *
 * Snapshot isolation: fails if another commit since the start wrote a key that this one writes. Serializable: also if it wrote what this one
 * read, be it a key, or any key of a range that was scanned (the whole range asked for, not the rows it happened to yield: SlateDB #1710).
 */
import { PumiceError } from "../../base/mod.ts";
import type { KeyRange } from "../format/key-range.ts";
import { WriteBatch, type PutOptions } from "./batch.ts";
import { Memtable } from "./memtable.ts";
import { NOT_CACHED, ownValue, Reads, type GetOptions, type ReadSource, type ScanOptions } from "./reads.ts";
import { LOCAL_SEQ, type KeyValue, type Scan } from "./scan.ts";

/** What a transaction is protected from. */
export type Isolation = "snapshot" | "serializable";

/** Characters made by one call: more arguments than a call may have would be an error. */
const TEXT_CHUNK = 8192;

/** A key as text of one character per byte, for sets. */
export function keyText(key: Uint8Array): string {
  let text = "";
  if (key.length <= 32) for (const byte of key) text += String.fromCharCode(byte);
  else for (let at = 0; at < key.length; at += TEXT_CHUNK) text += String.fromCharCode(...key.subarray(at, at + TEXT_CHUNK));
  return text;
}

/** Outcome of a write. */
export interface WriteHandle {
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly createTs: number;
}

/** Options of a write or commit. */
export interface WriteOptions extends PutOptions {
  /** Resolve only when the write survives the loss of this machine. Default true. */
  readonly awaitDurable?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface RecentCommit {
  readonly seq: number;
  /** Text, not the rows' own bytes: those would keep everything written beside them alive. */
  readonly keys: readonly string[];
}

/** Keys that the log keeps for transactions under way, about. One that is older than what is kept then cannot commit. */
const LOG_BYTES_MAX = 33_554_432;
const KEY_OVERHEAD_BYTES = 48;

function bytesOf(commit: RecentCommit): number {
  return commit.keys.reduce((sum, text) => sum + text.length + KEY_OVERHEAD_BYTES, KEY_OVERHEAD_BYTES);
}

/** Notes commits as long as some transaction may conflict with them. */
export class ConflictLog {
  /** In the order in which they began, and so by ascending sequence number. */
  readonly #active = new Map<Transaction, number>();
  #commits: RecentCommit[] = [];
  #sizeBytes = 0;
  /** Commits up to this are not known any more. */
  #forgottenSeq = 0;

  begin(transaction: Transaction, seq: number): void {
    this.#active.set(transaction, seq);
  }

  end(transaction: Transaction): void {
    this.#active.delete(transaction);
    const least = this.#active.values().next();
    this.#cut(least.done === true ? this.#commits.length : this.#countUpTo(least.value));
  }

  get isIdle(): boolean {
    return this.#active.size === 0;
  }

  /** Notes what a commit wrote. */
  note(seq: number, keys: readonly Uint8Array[]): void {
    if (this.#active.size === 0) return;
    const commit = { seq, keys: keys.map(keyText) };
    this.#commits.push(commit);
    this.#sizeBytes += bytesOf(commit);
    while (this.#sizeBytes > LOG_BYTES_MAX && this.#commits.length > 0) {
      // Half at a time: a transaction that nobody ends must not make every later write move the whole list.
      const count = Math.ceil(this.#commits.length / 2);
      this.#forgottenSeq = this.#commits[count - 1]?.seq ?? this.#forgottenSeq;
      this.#cut(count);
    }
  }

  /** True if what was committed after `seq` is not known in full. */
  isForgotten(seq: number): boolean {
    return seq < this.#forgottenSeq;
  }

  /** The commits after `seq`. */
  since(seq: number): readonly RecentCommit[] {
    return this.#commits.slice(this.#countUpTo(seq));
  }

  #countUpTo(seq: number): number {
    let low = 0;
    let high = this.#commits.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#commits[middle] as RecentCommit).seq <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #cut(count: number): void {
    if (count === 0) return;
    for (const commit of this.#commits.splice(0, count)) this.#sizeBytes -= bytesOf(commit);
  }
}

/** A range with its bounds as `keyText` has them: text of one character per byte has the order of the bytes. */
function textRange(range: KeyRange): (text: string) => boolean {
  const start = range.start === undefined ? undefined : keyText(range.start);
  const end = range.end === undefined ? undefined : keyText(range.end);
  return (text) =>
    (start === undefined || (range.startInclusive ? text >= start : text > start)) &&
    (end === undefined || (range.endInclusive ? text <= end : text < end));
}

/** What a transaction needs of its store. */
export interface TransactionHost {
  readonly log: ConflictLog;
  /** Resolves when a write may begin. */
  room(signal: AbortSignal | undefined): Promise<void> | undefined;
  source(seq: number): ReadSource;
  /** Commits the batch; it must not be empty. */
  commit(batch: WriteBatch): WriteHandle;
  finish(handle: WriteHandle, options: WriteOptions | undefined): Promise<WriteHandle>;
  pin(seq: number): () => void;
}

/** See the header of this file. Ends by `commit` or `rollback`; the second is also what leaving an `await using` block does. */
export class Transaction {
  readonly isolation: Isolation;
  /** It sees commits up to this sequence number. */
  readonly seq: number;
  readonly #host: TransactionHost;
  readonly #reads: Reads;
  readonly #batch = new WriteBatch();
  readonly #local = new Memtable();
  readonly #readKeys = new Set<string>();
  readonly #readRanges: KeyRange[] = [];
  readonly #unmarked = new Set<string>();
  readonly #unpin: () => void;
  #isOver = false;

  constructor(host: TransactionHost, isolation: Isolation, seq: number) {
    this.#host = host;
    this.isolation = isolation;
    this.seq = seq;
    this.#unpin = host.pin(seq);
    const source = host.source(seq);
    this.#reads = new Reads({
      ...source,
      local: this.#local,
      check: () => {
        source.check();
        this.#checkOpen();
      },
      onRead: (range) => this.#noteRead(range),
    });
    host.log.begin(this, seq);
  }

  /** The value of `key`, or undefined. */
  async get(key: Uint8Array, options?: GetOptions): Promise<Uint8Array | undefined> {
    return ownValue(await this.#reads.row(key, options));
  }

  /** As get, without a promise, or NOT_CACHED. */
  getSync(key: Uint8Array): Uint8Array | undefined | typeof NOT_CACHED {
    const row = this.#reads.rowSync(key);
    return row === NOT_CACHED ? row : ownValue(row);
  }

  /** Key, value and times. */
  async getRow(key: Uint8Array, options?: GetOptions): Promise<KeyValue | undefined> {
    return await this.#reads.keyValue(key, options);
  }

  /** Rows of a range, the transaction's own writes among them. */
  scan(options: ScanOptions = {}): Scan {
    return this.#reads.scan(options);
  }

  put(key: Uint8Array, value: Uint8Array, options?: PutOptions): void {
    this.#write((batch) => batch.put(key, value, options));
  }

  delete(key: Uint8Array): void {
    this.#write((batch) => batch.delete(key));
  }

  merge(key: Uint8Array, operand: Uint8Array, options?: PutOptions): void {
    this.#write((batch) => batch.merge(key, operand, options));
  }

  /** Counts the keys as read. */
  markRead(keys: readonly Uint8Array[]): void {
    this.#checkOpen();
    for (const key of keys) this.#readKeys.add(keyText(key));
  }

  /** Lets writes of these keys conflict with nobody's. */
  unmarkWrite(keys: readonly Uint8Array[]): void {
    this.#checkOpen();
    for (const key of keys) this.#unmarked.add(keyText(key));
  }

  /** Makes the writes visible, all at once; undefined if there are none. @throws LSM_CONFLICT: nothing was written; begin again */
  async commit(options?: WriteOptions): Promise<WriteHandle | undefined> {
    this.#checkOpen();
    try {
      options?.signal?.throwIfAborted();
      for (let room = this.#host.room(options?.signal); room !== undefined; room = this.#host.room(options?.signal)) {
        await room;
        // It may have been committed or rolled back meanwhile.
        this.#checkOpen();
      }
      this.#checkConflicts();
      if (this.#batch.size === 0) return undefined;
      const handle = this.#host.commit(this.#batch);
      this.#end();
      return await this.#host.finish(handle, options);
    } finally {
      this.#end();
    }
  }

  /** Forgets the writes. Idempotent. */
  rollback(): void {
    this.#end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.rollback();
  }

  #write(add: (batch: WriteBatch) => WriteBatch): void {
    this.#checkOpen();
    const before = this.#batch.size;
    add(this.#batch);
    const single = new WriteBatch();
    const entry = this.#batch.entries[before];
    if (entry === undefined) return;
    if (entry.kind === 1) single.delete(entry.key);
    else if (entry.kind === 8) single.merge(entry.key, entry.value);
    else single.put(entry.key, entry.value);
    const stamp = { seq: LOCAL_SEQ + before, createTs: 0, presentMs: 0, defaultTtlMs: undefined, operator: undefined };
    for (const row of single.rows(stamp)) this.#local.insert(row);
  }

  #noteRead(what: KeyRange | Uint8Array): void {
    if (this.isolation !== "serializable") return;
    if (what instanceof Uint8Array) this.#readKeys.add(keyText(what));
    else this.#readRanges.push(what);
  }

  #checkConflicts(): void {
    const written = new Set(this.#batch.entries.map((entry) => keyText(entry.key)));
    for (const text of this.#unmarked) written.delete(text);
    const ranges = this.#readRanges.map(textRange);
    const { log } = this.#host;
    if (log.isForgotten(this.seq) && written.size + this.#readKeys.size + ranges.length > 0)
      throw new PumiceError("LSM_CONFLICT", { what: "too much was written since the transaction began", startedSeq: this.seq });
    for (const commit of log.since(this.seq)) {
      for (const text of commit.keys) {
        const isConflict = written.has(text) || this.#readKeys.has(text) || ranges.some((isIn) => isIn(text));
        if (isConflict) throw new PumiceError("LSM_CONFLICT", { startedSeq: this.seq, conflictingSeq: commit.seq });
      }
    }
  }

  #checkOpen(): void {
    if (this.#isOver) throw new PumiceError("LSM_CLOSED", { what: "the transaction is over" });
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#host.log.end(this);
    this.#unpin();
  }
}
