/**
 * A numbered sequence of immutable objects of which the last one is in force: the manifest, the compactions file.
 * A new version is made by put-if-absent of the next id, so each id is written once (invariants 37 and 38 of the design).
 *
 * If a boundary object exists, ids up to it may have been deleted: a version put at or below it comes from a process that slept
 * through the deletion, and counts as never written.
 */
import { abortable, assert, fromUtf8, PumiceError, type ObjectStore } from "../../base/mod.ts";
import { momentOf, msSince, type Moment } from "./moment.ts";
import { idOf } from "./paths.ts";
import { createObject, withRetry, withSignal, type CreateOutcome, type RetryPolicy } from "./retry.ts";

/** A value and the id under which it is stored. */
export interface Versioned<T> {
  readonly id: number;
  readonly value: T;
}

/** What is in the sequence, and where. */
export interface SequenceParts<T> {
  readonly store: ObjectStore;
  readonly policy: RetryPolicy;
  readonly prefix: string;
  readonly suffix: string;
  key(id: number): string;
  readonly boundaryKey: string;
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array, object: string): T;
}

/** Updates lost to others before giving up. */
const CONFLICTS_MAX = 1000;
/** A version known for longer than this is read again before something is built on it: others may have deleted what follows it. */
const STALE_AFTER_MS = 30_000;

/** What is remembered of a sequence. */
interface Memory<T> {
  latest: Versioned<T> | undefined;
  refreshedAt: Moment;
  queue: Promise<unknown>;
  honoursBoundary: boolean;
  /** Whether it was looked for at all. */
  hasSoughtBoundary: boolean;
  readonly listeners: Set<(version: Versioned<T>) => void>;
}

/** The sequence, with its last version remembered. Updates of one instance, and of what `scoped` made of it, are made one after the other. */
export class Sequence<T> {
  readonly #parts: SequenceParts<T>;
  readonly #memory: Memory<T>;

  constructor(parts: SequenceParts<T>, memory?: Memory<T>) {
    this.#parts = parts;
    this.#memory = memory ?? {
      latest: undefined,
      refreshedAt: { wallMs: -Infinity, steadyMs: -Infinity },
      queue: Promise.resolve(),
      honoursBoundary: false,
      hasSoughtBoundary: false,
      listeners: new Set(),
    };
  }

  /** The same sequence for one call: its waits end with `signal` too. */
  scoped(signal: AbortSignal | undefined): Sequence<T> {
    return signal === undefined ? this : new Sequence({ ...this.#parts, policy: withSignal(this.#parts.policy, signal) }, this.#memory);
  }

  /** Whether boundary objects are looked at. Set once one was seen, or by the profile that writes them. */
  get honoursBoundary(): boolean {
    return this.#memory.honoursBoundary;
  }

  set honoursBoundary(isHonoured: boolean) {
    this.#memory.honoursBoundary = isHonoured;
  }

  /** Takes over what another sequence of the store has found out of boundaries: collection that writes one writes all. */
  followBoundaryOf<U>(other: Sequence<U>): void {
    this.#memory.honoursBoundary = other.#memory.honoursBoundary;
    this.#memory.hasSoughtBoundary = other.#memory.hasSoughtBoundary;
  }

  get #latest(): Versioned<T> | undefined {
    return this.#memory.latest;
  }

  /** The last version that this instance has seen. */
  get known(): Versioned<T> | undefined {
    return this.#latest;
  }

  /** Calls `listener` with each version that is newer than those seen before. Returns how to stop it. */
  onChange(listener: (version: Versioned<T>) => void): () => void {
    this.#memory.listeners.add(listener);
    return () => this.#memory.listeners.delete(listener);
  }

  /** The version in force, or undefined if there is none. @throws STORE_UNAVAILABLE, LSM_CORRUPT, LSM_UNSUPPORTED */
  async refresh(attempt = 0): Promise<Versioned<T> | undefined> {
    const started = momentOf(this.#parts.policy.clock);
    const after = this.#latest === undefined ? undefined : this.#parts.key(this.#latest.id);
    let newest = this.#latest?.id ?? 0;
    await withRetry(this.#parts.policy, async () => {
      for await (const meta of this.#parts.store.list(this.#parts.prefix, { startAfter: after, signal: this.#parts.policy.signal })) {
        newest = Math.max(newest, idOf(meta.key, this.#parts.suffix) ?? 0);
      }
    });
    if (newest > (this.#latest?.id ?? 0)) {
      const found = await this.read(newest);
      // Deleted between listing and reading: then a newer one is there, and the next listing shows it.
      if (found === undefined) return await this.#refreshAgain(attempt);
      this.#remember(found);
    }
    // A listing may be behind; what it does not show is found by its name.
    for (let found = await this.#successor(); found !== undefined; found = await this.#successor()) this.#remember(found);
    this.#memory.refreshedAt = started;
    return this.#latest;
  }

  async #refreshAgain(attempt: number): Promise<Versioned<T> | undefined> {
    if (attempt >= CONFLICTS_MAX)
      throw new PumiceError("LSM_MISSING", { object: this.#parts.prefix, what: "listed versions cannot be read" });
    return await this.refresh(attempt + 1);
  }

  async #successor(): Promise<Versioned<T> | undefined> {
    return await this.read((this.#latest?.id ?? 0) + 1);
  }

  /** The version of that id, or undefined if there is none. @throws STORE_UNAVAILABLE, LSM_CORRUPT, LSM_UNSUPPORTED */
  async read(id: number): Promise<Versioned<T> | undefined> {
    if (this.#latest?.id === id) return this.#latest;
    const key = this.#parts.key(id);
    const bytes = await withRetry(this.#parts.policy, async () => await this.#parts.store.get(key, { signal: this.#parts.policy.signal }));
    return bytes === undefined ? undefined : { id, value: this.#parts.decode(bytes, key) };
  }

  /** Ids of all versions that are stored, ascending, with the store's time of each. */
  async list(): Promise<{ id: number; key: string; lastModifiedMs: number }[]> {
    return await withRetry(this.#parts.policy, async () => {
      const all: { id: number; key: string; lastModifiedMs: number }[] = [];
      for await (const meta of this.#parts.store.list(this.#parts.prefix, { signal: this.#parts.policy.signal })) {
        const id = idOf(meta.key, this.#parts.suffix);
        if (id !== undefined) all.push({ id, key: meta.key, lastModifiedMs: meta.lastModifiedMs });
      }
      return all.sort((left, right) => left.id - right.id);
    });
  }

  /** Makes the first version. False if there is one already. */
  async create(value: T): Promise<boolean> {
    assert(this.#latest === undefined, "a sequence is created when it has no version");
    return (await this.#put(1, value)) !== "taken";
  }

  /**
   * Makes a new version of the one in force: `change` gives it, or undefined to leave all as it is. It is called again, on what then
   * is in force, whenever somebody else was first; it throws to give up. With `isClaim`, a version that another process may have written, with the same
   * bytes counts as lost. Gives the version in force afterwards.
   * @throws LSM_CONTENTION, STORE_UNAVAILABLE, and what `change` throws
   */
  async update(change: (value: T, id: number) => T | undefined, options: { isClaim?: boolean } = {}): Promise<Versioned<T>> {
    const { signal } = this.#parts.policy;
    const turn = this.#memory.queue.then(async () => {
      signal?.throwIfAborted();
      return await this.#updateNow(change, options.isClaim === true);
    });
    this.#memory.queue = turn.catch(() => undefined);
    // Not even its turn is waited for once the caller has given up.
    return await abortable(turn, signal);
  }

  async #updateNow(change: (value: T, id: number) => T | undefined, isClaim: boolean): Promise<Versioned<T>> {
    if (this.#isStale) await this.refresh();
    for (let attempt = 0; attempt < CONFLICTS_MAX; attempt++) {
      const base = this.#latest ?? (await this.refresh());
      assert(base !== undefined, "an update has a version to begin from");
      const value = change(base.value, base.id);
      if (value === undefined) return base;
      const next = { id: base.id + 1, value };
      const outcome = await this.#put(next.id, value);
      if (outcome === "created" || (outcome === "same" && !isClaim)) {
        this.#remember(next);
        return next;
      }
      await this.refresh();
    }
    throw new PumiceError("LSM_CONTENTION", { object: this.#parts.prefix, attempts: CONFLICTS_MAX });
  }

  /** The boundary: ids up to it may have been deleted. 0 if there is none. */
  async boundary(): Promise<number> {
    const bytes = await withRetry(
      this.#parts.policy,
      async () => await this.#parts.store.get(this.#parts.boundaryKey, { signal: this.#parts.policy.signal }),
    );
    this.#memory.hasSoughtBoundary = true;
    if (bytes === undefined) return 0;
    this.honoursBoundary = true;
    // Digits, whatever else the bytes may be: not even UTF-8, if they are damaged.
    const id = bytes.length > 0 && bytes.every((byte) => byte >= 0x30 && byte <= 0x39) ? Number(fromUtf8(bytes)) : undefined;
    if (id === undefined || !Number.isSafeInteger(id))
      throw new PumiceError("LSM_CORRUPT", { object: this.#parts.boundaryKey, what: "boundary is no number" });
    return id;
  }

  /** Moves the boundary up to `id`; never down. @throws STORE_UNAVAILABLE */
  async advanceBoundary(id: number): Promise<void> {
    const body = new TextEncoder().encode(String(id));
    const { signal } = this.#parts.policy;
    await withRetry(this.#parts.policy, async () => {
      const meta = await this.#parts.store.head(this.#parts.boundaryKey, { signal });
      if (meta !== undefined && (await this.boundary()) >= id) return;
      const condition = meta === undefined ? ({ kind: "absent" } as const) : ({ kind: "match", etag: meta.etag } as const);
      const result = await this.#parts.store.putIf(this.#parts.boundaryKey, body, condition, { signal });
      if (!result.ok) throw new PumiceError("STORE_UNAVAILABLE", { what: "boundary moved meanwhile", object: this.#parts.boundaryKey });
    });
    this.honoursBoundary = true;
  }

  async #put(id: number, value: T): Promise<CreateOutcome> {
    const object = { key: this.#parts.key(id), body: this.#parts.encode(value) };
    const outcome = await createObject(this.#parts.store, this.#parts.policy, object);
    if (outcome === "taken") return outcome;
    if (this.#isStale && (await this.#isOverrun(id))) return "taken";
    // If there is a boundary, it counts in every profile: the first put looks.
    if (!this.honoursBoundary && this.#memory.hasSoughtBoundary) return outcome;
    return id <= (await this.boundary()) ? "taken" : outcome;
  }

  get #isStale(): boolean {
    return msSince(this.#memory.refreshedAt, this.#parts.policy.clock) > STALE_AFTER_MS;
  }

  /**
   * True if the version was put where an older one had been deleted: this process stood still between its look and its put. Then one with
   * a higher id is older than it, by the store's own time; whatever was built on it would be younger.
   */
  async #isOverrun(id: number): Promise<boolean> {
    const listed = await this.list();
    const ours = listed.find((each) => each.id === id);
    return listed.some((each) => each.id > id && each.lastModifiedMs < (ours?.lastModifiedMs ?? Infinity));
  }

  /** Knows no version any more, as at the beginning: all were deleted. */
  forget(): void {
    this.#memory.latest = undefined;
    this.#memory.refreshedAt = { wallMs: -Infinity, steadyMs: -Infinity };
  }

  #remember(version: Versioned<T>): void {
    if (this.#latest !== undefined && version.id <= this.#latest.id) return;
    this.#memory.latest = version;
    this.#memory.refreshedAt = momentOf(this.#parts.policy.clock);
    for (const listener of this.#memory.listeners) listener(version);
  }
}
