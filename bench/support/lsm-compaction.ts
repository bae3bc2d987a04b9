/**
 * Compaction beside the least that any compaction must do: each input SST is read, each block is checked, decompressed, compressed again
 * with the same codec, given its checksum and written; nothing is merged, no key is looked at, no filter or index is built. One thread for both.
 *
 * The input is four L0s whose keys interleave at random. Each round compacts a clone of the same store, then copies the same files.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { concat } from "../../src/base/mod.ts";
import { cloneStore, components, Db, LocalObjectStore, type Compression } from "../../src/entry/lsm.ts";
import { hostCodecs, nodeCrc32 } from "../../src/host/mod.ts";
import { Sealer } from "../../src/lsm/format/compression.ts";
import { readFooter } from "../../src/lsm/format/sst-reader.ts";
import { decodeIndex } from "../../src/lsm/format/sst-info.ts";
import { keyOf, shuffled, variedValue } from "./lsm-workload.ts";

const L0S = 4;
const ROW_BYTES = 116;
/** Compaction happens when it is asked for. */
const QUIET = { gc: false, l0SstsMax: 100, compactor: { pollIntervalMs: 3_600_000, minSources: 100, maxSources: 100 } } as const;

/** A store of four L0s of `rows` rows each, to be compacted again and again. */
export class CompactionBench {
  private readonly root: string;
  private readonly compression: Compression;
  private readonly store: LocalObjectStore;
  private readonly bytes: number;

  constructor(root: string, compression: Compression, rows: number) {
    this.root = root;
    this.compression = compression;
    this.store = new LocalObjectStore({ root, isSynced: false });
    this.bytes = rows * L0S * ROW_BYTES;
  }

  /** Writes the input. */
  async prepare(): Promise<void> {
    const rows = this.bytes / ROW_BYTES / L0S;
    const db = await Db.open("input", components(this.store), { ...QUIET, compression: this.compression, l0SstBytes: 2 ** 31 });
    const order = shuffled(rows * L0S);
    for (let part = 0; part < L0S; part++) {
      for (const i of order.slice(part * rows, (part + 1) * rows)) await db.put(keyOf(i), variedValue(i), { awaitDurable: false });
      await db.flush("memtable");
    }
    await db.close();
  }

  /** Compacts a clone of the input: MB of keys and values per second, and bytes written for each byte of them. */
  async compact(): Promise<{ readonly mbPerSecond: number; readonly writtenShare: number }> {
    await cloneStore("input", "clone", components(this.store));
    const db = await Db.open("clone", components(this.store), { ...QUIET, compression: this.compression });
    const started = performance.now();
    await db.compact();
    const seconds = (performance.now() - started) / 1000;
    const written = db.status().compactor?.bytesWritten ?? 0;
    await db.close();
    rmSync(join(this.root, "clone"), { recursive: true });
    return { mbPerSecond: this.bytes / 1e6 / seconds, writtenShare: written / this.bytes };
  }

  /** Copies the input in the sense of this file's header: MB of keys and values per second. */
  async copy(): Promise<number> {
    const sealer = new Sealer({ crc32: nodeCrc32, hostCodecs });
    const keys: string[] = [];
    for await (const meta of this.store.list("input/compacted/")) keys.push(meta.key);
    const started = performance.now();
    for (const key of keys) {
      const body = await this.store.get(key);
      if (body === undefined) throw new Error(`${key} is gone`);
      await this.store.put(`copy/${key}`, resealed(body, key, sealer));
    }
    const seconds = (performance.now() - started) / 1000;
    rmSync(join(this.root, "copy"), { recursive: true });
    return this.bytes / 1e6 / seconds;
  }
}

/** The SST, every block and section of it unsealed and sealed again. */
function resealed(body: Uint8Array, object: string, sealer: Sealer): Uint8Array {
  const { info } = readFooter(body, object, sealer);
  const section = (start: number, end: number): Uint8Array => {
    const raw = sealer.unseal(body.subarray(start, end), info.compression, { object, offset: start });
    return sealer.seal(raw, info.compression);
  };
  const indexEnd = info.indexOffset + info.indexLength;
  const index = decodeIndex(
    sealer.unseal(body.subarray(info.indexOffset, indexEnd), info.compression, { object, offset: info.indexOffset }),
    object,
  );
  const parts = index.map(({ offset }, i) => section(offset, index[i + 1]?.offset ?? info.filterOffset));
  if (info.filterLength > 0) parts.push(section(info.filterOffset, info.filterOffset + info.filterLength));
  parts.push(section(info.indexOffset, indexEnd));
  parts.push(body.subarray(indexEnd));
  return concat(parts);
}
