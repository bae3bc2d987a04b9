/**
 * An object store in memory: the simulator's, and the one of programs that want to forget. Deterministic: its times come from the
 * clock given, its versions from a counter. Nothing is durable beyond the process.
 */
import { assert } from "./assert.ts";
import { concat, copyBytes } from "./bytes.ts";
import type { Clock } from "./clock.ts";
import { PumiceError } from "./errors.ts";
import { checkObjectKey, compareUtf8 } from "./object-key.ts";
import {
  assertByteRange,
  type ByteRange,
  type ETag,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
  type PutCondition,
  type PutResult,
  type StoreOptions,
} from "./object-store.ts";

interface Stored {
  readonly meta: ObjectMeta;
  readonly body: Uint8Array;
}

/** Components of a memory store. */
export interface MemoryObjectStoreOptions {
  /** Gives objects their time. */
  readonly clock: Pick<Clock, "now">;
}

/** See the header of this file. */
export class MemoryObjectStore implements ObjectStore {
  readonly #clock: Pick<Clock, "now">;
  readonly #objects = new Map<string, Stored>();
  /** Invariant: the keys of `#objects`, ascending by UTF-8 bytes. */
  readonly #keys: string[] = [];
  #versionCount = 0;

  constructor(options: MemoryObjectStoreOptions) {
    this.#clock = options.clock;
  }

  async get(key: string, options?: StoreOptions): Promise<Uint8Array | undefined> {
    enter(key, options);
    const stored = this.#objects.get(key);
    return stored === undefined ? undefined : copyBytes(stored.body);
  }

  async getRange(key: string, range: ByteRange, options?: StoreOptions): Promise<Uint8Array | undefined> {
    const { start, end } = range;
    assertByteRange(range);
    enter(key, options);
    const stored = this.#objects.get(key);
    if (stored === undefined) return undefined;
    const sizeBytes = stored.body.length;
    if (start > sizeBytes) throw new PumiceError("STORE_RANGE", { key, start, sizeBytes });
    return copyBytes(stored.body, start, end);
  }

  async head(key: string, options?: StoreOptions): Promise<ObjectMeta | undefined> {
    enter(key, options);
    return this.#objects.get(key)?.meta;
  }

  async *list(prefix: string, options?: ListOptions): AsyncIterable<ObjectMeta> {
    // Found anew at each step: the keys may have changed while the caller had the last one.
    let index = this.#indexAfter(options?.startAfter ?? "", prefix);
    for (;;) {
      options?.signal?.throwIfAborted();
      const key = this.#keys[index];
      if (key === undefined || !key.startsWith(prefix)) return;
      const stored = this.#objects.get(key);
      assert(stored !== undefined, "every listed key has an object");
      yield stored.meta;
      index = this.#indexAfter(key, prefix);
    }
  }

  async put(key: string, body: Uint8Array, options?: StoreOptions): Promise<ETag> {
    enter(key, options);
    return this.#store(key, body);
  }

  async putIf(key: string, body: Uint8Array, condition: PutCondition, options?: StoreOptions): Promise<PutResult> {
    enter(key, options);
    const current = this.#objects.get(key)?.meta.etag;
    const holds = condition.kind === "absent" ? current === undefined : current === condition.etag;
    return holds ? { ok: true, etag: this.#store(key, body) } : { ok: false };
  }

  async createFrom(key: string, parts: AsyncIterable<Uint8Array>, options?: StoreOptions): Promise<PutResult> {
    enter(key, options);
    const all: Uint8Array[] = [];
    for await (const part of parts) {
      options?.signal?.throwIfAborted();
      all.push(part);
    }
    return await this.putIf(key, concat(all), { kind: "absent" }, options);
  }

  async delete(key: string, options?: StoreOptions): Promise<void> {
    enter(key, options);
    if (this.#objects.delete(key)) this.#keys.splice(this.#lowerBound(key), 1);
  }

  #store(key: string, body: Uint8Array): ETag {
    const etag = String(++this.#versionCount) as ETag;
    if (!this.#objects.has(key)) this.#keys.splice(this.#lowerBound(key), 0, key);
    this.#objects.set(key, { meta: { key, sizeBytes: body.length, etag, lastModifiedMs: this.#clock.now() }, body: new Uint8Array(body) });
    return etag;
  }

  /** Index of the first key that is greater than `after` and not smaller than `prefix`. */
  #indexAfter(after: string, prefix: string): number {
    if (compareUtf8(after, prefix) < 0) return this.#lowerBound(prefix);
    const index = this.#lowerBound(after);
    return this.#keys[index] === after ? index + 1 : index;
  }

  /** Index of the first key that is not smaller than `key`. */
  #lowerBound(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareUtf8(this.#keys[middle] as string, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function enter(key: string, options: StoreOptions | undefined): void {
  checkObjectKey(key);
  options?.signal?.throwIfAborted();
}
