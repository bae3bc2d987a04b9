/**
 * An object store: named byte arrays with conditional puts. A lost condition and an absent object are values, not errors.
 * An error from a put leaves its outcome open: it may have happened. Read back before deciding.
 */

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

export interface StoreOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Keys are UTF-8 with `/` between parts, no leading `/`. All methods: @throws STORE_UNAVAILABLE */
export interface ObjectStore {
  /** The whole object, or undefined if there is none. The caller owns the bytes. */
  get(key: string, options?: StoreOptions): Promise<Uint8Array | undefined>;
  /** Bytes [start, end) of the object, cut at its end; undefined if there is none. @throws STORE_RANGE if start is beyond its end. */
  getRange(key: string, range: ByteRange, options?: StoreOptions): Promise<Uint8Array | undefined>;
  /** Size, version and time, or undefined if there is none. */
  head(key: string, options?: StoreOptions): Promise<ObjectMeta | undefined>;
  /** Objects whose key begins with `prefix`, after the key `startAfter` if given, in ascending order of UTF-8 bytes. */
  list(prefix: string, options?: StoreOptions & { readonly startAfter?: string | undefined }): AsyncIterable<ObjectMeta>;
  /** Creates or replaces. The bytes are the caller's again once the promise settles. */
  put(key: string, body: Uint8Array, options?: StoreOptions): Promise<ETag>;
  /** Creates or replaces if the condition holds, atomically. */
  putIf(key: string, body: Uint8Array, condition: PutCondition, options?: StoreOptions): Promise<PutResult>;
  /** No error if there is none. */
  delete(key: string, options?: StoreOptions): Promise<void>;
}
