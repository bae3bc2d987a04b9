/**
 * An object store: named byte arrays with conditional puts. A lost condition and an absent object are values, not errors.
 * An error from a put leaves its outcome open: it may have happened. Read back before deciding.
 */
import { assert } from "./assert.ts";
import type { Metric } from "./metrics.ts";

declare const etagBrand: unique symbol;
/** The version of an object, opaque. Branded so that it is not confused with a key. */
export type ETag = string & { readonly [etagBrand]: true };

/** What is known of a stored object. */
export interface ObjectMeta {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: ETag;
  /** Milliseconds since 1970 by the store's own clock. */
  readonly lastModifiedMs: number;
}

/** The condition of a put: the object must be absent, or have that version. */
export type PutCondition = { readonly kind: "absent" } | { readonly kind: "match"; readonly etag: ETag };

/** The outcome of a conditional put. Of concurrent puts with the same condition at most one is `ok`. */
export type PutResult = { readonly ok: true; readonly etag: ETag } | { readonly ok: false };

/** Half-open byte range [start, end). */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** @throws AssertionError unless 0 <= start <= end, both safe integers. */
export function assertByteRange(range: ByteRange): void {
  const { start, end } = range;
  assert(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end, "a byte range is 0 <= start <= end");
}

/** An aborted call rejects with the signal's reason; like an error, it leaves the outcome of a put open. */
export interface StoreOptions {
  readonly signal?: AbortSignal | undefined;
  /** Of a get or getRange: no cache may answer, as what one gave was found damaged. Only caches look at it. */
  readonly isFresh?: boolean | undefined;
}

/**
 * Where to begin, beside the signal. `startAfter` need not name an object, nor begin with the prefix.
 */
export interface ListOptions extends StoreOptions {
  readonly startAfter?: string | undefined;
}

/**
 * Keys are UTF-8 with `/` between parts; `checkObjectKey` has the rules. All methods: @throws STORE_UNAVAILABLE (retry later),
 * STORE_REFUSED (credentials, bucket or permission are wrong: retrying does not help), STORE_KEY (the key cannot name an object here).
 *
 * Implementations promise: a put is atomic, readers see the old object or the new one; what a settled put stored is durable; a get, head
 * or list that begins after a put or delete settled sees it. A list shows each object that was there all the while once; of what comes
 * or goes meanwhile it may show or miss any. `sizeBytes` of one version never changes.
 */
export interface ObjectStore {
  /** The whole object, or undefined if there is none. The caller owns the bytes. */
  get(key: string, options?: StoreOptions): Promise<Uint8Array | undefined>;
  /**
   * Bytes [start, end) of the object, cut at its end, so none if `start` is its end; undefined if there is none.
   * @throws STORE_RANGE if start is beyond its end; AssertionError unless 0 <= start <= end, both safe integers.
   */
  getRange(key: string, range: ByteRange, options?: StoreOptions): Promise<Uint8Array | undefined>;
  /**
   * Size, version and time, or undefined if there is none. To replace what you read: head first, then get, then `putIf` with the etag of
   * that head; the other way round a change between the two would be overwritten unseen.
   */
  head(key: string, options?: StoreOptions): Promise<ObjectMeta | undefined>;
  /** Objects whose key begins with the text `prefix`, after the key `startAfter` if given, in ascending order of UTF-8 bytes. */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectMeta>;
  /** Creates or replaces. The bytes are the caller's again once the promise settles. */
  put(key: string, body: Uint8Array, options?: StoreOptions): Promise<ETag>;
  /** Creates or replaces if the condition holds, atomically. A match fails if there is no object. */
  putIf(key: string, body: Uint8Array, condition: PutCondition, options?: StoreOptions): Promise<PutResult>;
  /**
   * Creates an object of `parts`, in order, if there is none: like `putIf` with the condition "absent", for what nobody wants to hold whole. A part
   * is the store's as soon as it is given; the next is asked for when there is room for it. If `parts` throws, nothing is created and its error is passed on.
   */
  createFrom(key: string, parts: AsyncIterable<Uint8Array>, options?: StoreOptions): Promise<PutResult>;
  /** No error if there is none. */
  delete(key: string, options?: StoreOptions): Promise<void>;
  /** Numbers of its own, if it has any: shown with those of its user. */
  metrics?(): readonly Metric[];
}
