/** The codecs that Node has: zlib and zstd. And its checksum, which is faster than the pure one for more than about 200 bytes. */
import type { Crc32, HostCodecs } from "../base/mod.ts";
import { zlib } from "./built-ins.ts";

/** SlateDB's level for zstd. */
const ZSTD_LEVEL = 3;

/** zlib and zstd by Node. */
export const hostCodecs: HostCodecs = {
  zlib: {
    compress: (bytes) => plain(zlib().deflateSync(bytes)),
    decompress: (bytes, maxBytes) => plain(zlib().inflateSync(bytes, { maxOutputLength: maxBytes })),
  },
  zstd: {
    compress: (bytes) => plain(zlib().zstdCompressSync(bytes, { params: { [zlib().constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } })),
    decompress: (bytes, maxBytes) => plain(zlib().zstdDecompressSync(bytes, { maxOutputLength: maxBytes })),
  },
};

/** CRC-32 by Node. */
export const nodeCrc32: Crc32 = (bytes, seed) => zlib().crc32(bytes, seed);

/** The same memory without Buffer's methods: its `slice` does not copy. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
