/** The five codecs by their numbers in SstInfo, and the seal that every block and section of an SST carries. */
import { assert, concat, PumiceError, viewOf, type Codec, type Crc32, type HostCodecs } from "../../base/mod.ts";
import { givenBytes } from "./given.ts";
import { damaged } from "./damage.ts";
import { lz4 } from "./lz4.ts";
import { snappy } from "./snappy.ts";

/** Codecs in the order of their numbers on disk. FROZEN. */
export const COMPRESSIONS = ["none", "snappy", "zlib", "lz4", "zstd"] as const;
/** A codec's name. */
export type Compression = (typeof COMPRESSIONS)[number];

/** A user's reversible change of stored bytes, e.g. encryption. Applied after compression. */
export interface BlockTransformer {
  encode(bytes: Uint8Array): Uint8Array;
  decode(bytes: Uint8Array): Uint8Array;
}

/** What a seal needs of the world. */
export interface SealParts {
  readonly crc32: Crc32;
  /** Needed only for zlib and zstd. */
  readonly hostCodecs?: HostCodecs | undefined;
  readonly transformer?: BlockTransformer | undefined;
}

/** Where sealed bytes lie. */
export interface SealedPlace {
  readonly object: string;
  readonly offset: number;
}

/** A decompressed section is at most this long: one larger can only be damage. */
const SECTION_BYTES_MAX = 0x4000_0000;
/** Bytes of the checksum at the end of everything sealed. FROZEN. */
export const CRC_BYTES = 4;

/** Seals and unseals: stored = transform(compress(raw)) | CRC-32 u32 BE of what is before it. */
export class Sealer {
  readonly crc32: Crc32;
  readonly #parts: SealParts;

  constructor(parts: SealParts) {
    this.#parts = parts;
    this.crc32 = parts.crc32;
  }

  /** @throws LSM_UNSUPPORTED if the codec needs a host's part that was not given. */
  seal(raw: Uint8Array, compression: Compression): Uint8Array {
    return withCrc(this.encode(raw, compression), this.crc32);
  }

  /** What is stored of `raw`, without its checksum; `raw` itself if there is neither codec nor transformer. @throws LSM_UNSUPPORTED */
  encode(raw: Uint8Array, compression: Compression): Uint8Array {
    const compressed = compression === "none" ? raw : this.#codec(compression, "").compress(raw);
    const { transformer } = this.#parts;
    return transformer === undefined ? compressed : givenBytes(transformer.encode(compressed), "the block transformer");
  }

  /** The raw bytes; a view into `stored` if there is neither codec nor transformer. @throws LSM_CORRUPT, LSM_UNSUPPORTED */
  unseal(stored: Uint8Array, compression: Compression, place: SealedPlace): Uint8Array {
    return this.decode(checkCrc(stored, this.crc32, place), compression, place);
  }

  /** The same of what is before the checksum, which was verified. @throws LSM_CORRUPT, LSM_UNSUPPORTED */
  decode(body: Uint8Array, compression: Compression, place: SealedPlace): Uint8Array {
    try {
      const { transformer } = this.#parts;
      const compressed = transformer === undefined ? body : givenBytes(transformer.decode(body), "the block transformer");
      return compression === "none" ? compressed : this.#codec(compression, place.object).decompress(compressed, SECTION_BYTES_MAX);
    } catch (error) {
      if (error instanceof PumiceError) throw error;
      throw new PumiceError("LSM_CORRUPT", { ...place, what: "section does not decompress", codec: compression }, error);
    }
  }

  #codec(compression: Compression, object: string): Codec {
    assert(compression !== "none", "no codec is needed");
    if (compression === "lz4") return lz4;
    if (compression === "snappy") return snappy;
    const codec = this.#parts.hostCodecs?.[compression];
    if (codec === undefined)
      throw new PumiceError("LSM_UNSUPPORTED", { what: "codec is not given by the host", codec: compression, object });
    return codec;
  }
}

/** `body` and its CRC. */
export function withCrc(body: Uint8Array, crc32: Crc32): Uint8Array {
  const crc = new Uint8Array(CRC_BYTES);
  viewOf(crc).setUint32(0, crc32(body, 0));
  return concat([body, crc]);
}

/** What is before the CRC at the end of `stored`. @throws LSM_CORRUPT if it does not match. */
export function checkCrc(stored: Uint8Array, crc32: Crc32, place: SealedPlace): Uint8Array {
  if (stored.length < CRC_BYTES) throw damaged({ ...place, what: "section is too short for its checksum", found: stored.length });
  const body = stored.subarray(0, stored.length - CRC_BYTES);
  const expected = viewOf(stored).getUint32(stored.length - CRC_BYTES);
  const found = crc32(body, 0);
  if (found !== expected) {
    throw damaged({ ...place, what: "checksum mismatch", expected: expected.toString(16), found: found.toString(16) });
  }
  return body;
}

/** The codec of that number. @throws LSM_UNSUPPORTED */
export function compressionOf(code: number, object: string): Compression {
  const compression = COMPRESSIONS[code];
  if (compression === undefined) throw new PumiceError("LSM_UNSUPPORTED", { what: "unknown codec", codec: code, object });
  return compression;
}
