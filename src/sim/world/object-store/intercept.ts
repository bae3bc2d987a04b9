/**
 * A store with something between it and its caller: the base of every fault here. A fault is a decorator over the interface; no store
 * has a flag for it.
 */
import {
  assertByteRange,
  checkObjectKey,
  type ByteRange,
  type ETag,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
  type PutCondition,
  type PutResult,
  type StoreOptions,
} from "../../../base/mod.ts";

/** What was asked of the store. */
export interface StoreCall {
  readonly operation: "get" | "getRange" | "head" | "list" | "put" | "putIf" | "createFrom" | "delete";
  /** The key, or the prefix of a listing. */
  readonly key: string;
  /** Bytes that the caller hands over; 0 for what only asks. */
  readonly sizeBytes: number;
  readonly signal: AbortSignal | undefined;
}

/** True if the call can change the store. */
export function isChange(call: StoreCall): boolean {
  return call.operation === "put" || call.operation === "putIf" || call.operation === "createFrom" || call.operation === "delete";
}

/** Stands between caller and store: may wait, throw, or call `run` (once, or not at all, or later). */
export type Interceptor = <T>(call: StoreCall, run: () => Promise<T>) => Promise<T>;

/** `inner`, each of its calls by way of `intercept`. A listing is one call: it is read whole, then handed out. */
export function interceptStore(inner: ObjectStore, intercept: Interceptor): ObjectStore {
  return new InterceptedStore(inner, intercept);
}

class InterceptedStore implements ObjectStore {
  readonly #inner: ObjectStore;
  readonly #intercept: Interceptor;

  constructor(inner: ObjectStore, intercept: Interceptor) {
    this.#inner = inner;
    this.#intercept = intercept;
  }

  get(key: string, options?: StoreOptions): Promise<Uint8Array | undefined> {
    return this.#call("get", key, options, () => this.#inner.get(key, options));
  }

  async getRange(key: string, range: ByteRange, options?: StoreOptions): Promise<Uint8Array | undefined> {
    assertByteRange(range);
    return await this.#call("getRange", key, options, () => this.#inner.getRange(key, range, options));
  }

  head(key: string, options?: StoreOptions): Promise<ObjectMeta | undefined> {
    return this.#call("head", key, options, () => this.#inner.head(key, options));
  }

  async *list(prefix: string, options?: ListOptions): AsyncIterable<ObjectMeta> {
    const call: StoreCall = { operation: "list", key: prefix, sizeBytes: 0, signal: options?.signal };
    const metas = await this.#intercept(call, async () => {
      const all: ObjectMeta[] = [];
      for await (const meta of this.#inner.list(prefix, options)) all.push(meta);
      return all;
    });
    for (const meta of metas) {
      options?.signal?.throwIfAborted();
      yield meta;
    }
  }

  put(key: string, body: Uint8Array, options?: StoreOptions): Promise<ETag> {
    const kept = new Uint8Array(body);
    return this.#call("put", key, options, () => this.#inner.put(key, kept, options), body.length);
  }

  putIf(key: string, body: Uint8Array, condition: PutCondition, options?: StoreOptions): Promise<PutResult> {
    // Copied: a fault may let the call arrive after its caller was told that it failed, and took its bytes back.
    const kept = new Uint8Array(body);
    return this.#call("putIf", key, options, () => this.#inner.putIf(key, kept, condition, options), body.length);
  }

  /** The parts are gathered first: the call is one, and a fault may let it arrive when its caller has long been told that it failed. */
  async createFrom(key: string, parts: AsyncIterable<Uint8Array>, options?: StoreOptions): Promise<PutResult> {
    checkObjectKey(key);
    options?.signal?.throwIfAborted();
    const kept: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const part of parts) {
      options?.signal?.throwIfAborted();
      kept.push(part);
      sizeBytes += part.length;
    }
    return await this.#call("createFrom", key, options, () => this.#inner.createFrom(key, inTurn(kept), options), sizeBytes);
  }

  delete(key: string, options?: StoreOptions): Promise<void> {
    return this.#call("delete", key, options, () => this.#inner.delete(key, options));
  }

  // oxlint-disable-next-line max-params -- the five things that a call is made of
  async #call<T>(
    operation: StoreCall["operation"],
    key: string,
    options: StoreOptions | undefined,
    run: () => Promise<T>,
    sizeBytes = 0,
  ): Promise<T> {
    checkObjectKey(key);
    options?.signal?.throwIfAborted();
    return this.#intercept({ operation, key, sizeBytes, signal: options?.signal }, run);
  }
}

async function* inTurn(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}
