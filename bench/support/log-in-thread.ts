/** The log itself, in this thread: what is left of the log writer when the hop between threads is taken away. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as zlib from "node:zlib";
import { systemFiles } from "../../src/host/mod.ts";
import { Log, packBatch } from "../../src/replica/mod.ts";

/** Payload of an entry, as in LogLimits. */
const PAYLOAD_BYTES = 100;

/** A log in the system's temporary folder. */
export class LogInThread implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "pumice-log-in-thread-"));
  readonly #log = Log.open({ files: systemFiles, crc32: zlib.crc32 }, { folder: join(this.#folder, "log") });
  #index = 0;
  #number = 0;

  /** Entries per second of packing and appending `batch` entries, over and over; what the thread does while idle is done after each. */
  measure(batch: number, seconds: number): number {
    const started = performance.now();
    let count = 0;
    while (performance.now() - started < seconds * 1000) {
      this.append(batch);
      this.#log.prepare();
      count += batch;
      if (this.#number % 1024 === 0) this.#log.compact({ index: this.#index, term: 1 });
    }
    return (count * 1000) / (performance.now() - started);
  }

  append(batch: number): void {
    const data = new Uint8Array(PAYLOAD_BYTES).fill(7);
    const entries = Array.from({ length: batch }, () => ({ index: ++this.#index, term: 1, type: "normal" as const, data }));
    const hardState = { term: 1, vote: 1, commit: this.#index - batch };
    this.#log.append([packBatch({ number: ++this.#number, hardState, snapshot: undefined, entries, mustSync: true })]);
  }

  [Symbol.dispose](): void {
    this.#log.close();
    rmSync(this.#folder, { recursive: true });
  }
}

/** Microseconds per entry of packing a batch of `batch` entries: what the main thread pays. */
export function packingUs(batch: number, seconds: number): number {
  const data = new Uint8Array(PAYLOAD_BYTES).fill(7);
  const entries = Array.from({ length: batch }, (_, i) => ({ index: i + 1, term: 1, type: "normal" as const, data }));
  const started = performance.now();
  let count = 0;
  while (performance.now() - started < seconds * 1000) {
    packBatch({ number: 1, hardState: undefined, snapshot: undefined, entries, mustSync: true });
    count += batch;
  }
  return ((performance.now() - started) * 1000) / count;
}

/** Milliseconds to open a log of `gib` GiB, which is written first, `batch` entries of `payloadBytes` at a time; the last segment nearly full. */
export function openingMs(gib: number, batch: number, payloadBytes: number): { readonly ms: number; readonly bytes: number } {
  const home = mkdtempSync(join(tmpdir(), "pumice-log-opening-"));
  const settings = { folder: join(home, "log") };
  try {
    // Written without syncs: what is measured is the reading.
    const unsynced = {
      ...systemFiles,
      open(path: string, mode: "read" | "write" | "create") {
        const file = systemFiles.open(path, mode);
        file.datasync = () => {};
        return file;
      },
    };
    const log = Log.open({ files: unsynced, crc32: zlib.crc32 }, settings);
    const data = new Uint8Array(payloadBytes).fill(7);
    const perBatch = batch * (32 + Math.ceil(payloadBytes / 8) * 8) + 80;
    let index = 0;
    // Just short of a whole number of segments: the tail, which alone is read, is nearly full.
    const batches = Math.floor((gib * 2 ** 30 - 4 * 2 ** 20) / perBatch);
    for (let number = 1; number <= batches; number++) {
      const hardState = { term: 1, vote: 1, commit: index };
      const entries = Array.from({ length: batch }, () => ({ index: ++index, term: 1, type: "normal" as const, data }));
      log.append([packBatch({ number, hardState, snapshot: undefined, entries, mustSync: true })]);
    }
    log.close();
    const started = performance.now();
    const again = Log.open({ files: systemFiles, crc32: zlib.crc32 }, settings);
    const ms = performance.now() - started;
    again.close();
    return { ms, bytes: batches * perBatch };
  } finally {
    rmSync(home, { recursive: true });
  }
}
