/** Compression, as the world gives it: pure codecs live in their room, those with native parts (zlib, zstd) come in through this. */

/** Compresses and restores whole byte arrays, synchronously. */
export interface Codec {
  /** Newly allocated. */
  compress(bytes: Uint8Array): Uint8Array;
  /** The bytes that `compress` was given. @throws Error of any kind if `bytes` are damaged or hold more than `maxBytes`. */
  decompress(bytes: Uint8Array, maxBytes: number): Uint8Array;
}

/** The codecs that only a host can give. */
export interface HostCodecs {
  /** A zlib stream (RFC 1950). */
  readonly zlib: Codec;
  /** One zstd frame (RFC 8878). */
  readonly zstd: Codec;
}
