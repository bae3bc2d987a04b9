/** The limits of the log on this disk: raw writes with fdatasync, and the log writer alone with its hop between threads. */
import { closeSync, fdatasyncSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { threadSpawner } from "../../src/host/mod.ts";
import { LogHandle, WORKERS } from "../../src/replica/mod.ts";

/** Payload of an entry, about what a small insert takes encoded. */
const PAYLOAD_BYTES = 100;
/** An entry with its frame and its share of the batch's. */
const ENTRY_BYTES = 144;
/** The raw file is written round and round; it is filled before, as the log's segments are. */
const RAW_FILE_BYTES = 16 * 1024 * 1024;

/** Both limits, on files of their own in the system's temporary folder. */
export class LogLimits implements AsyncDisposable {
  readonly #folder: string;
  readonly #raw: number;
  readonly #log: LogHandle;
  #rawPosition = 0;
  #index = 0;
  #number = 0;
  #persisted: (() => void) | undefined;

  static async open(): Promise<LogLimits> {
    const folder = mkdtempSync(join(tmpdir(), "pumice-log-limits-"));
    const raw = openSync(join(folder, "raw"), "w");
    for (let at = 0; at < RAW_FILE_BYTES; at += 1 << 20) writeSync(raw, new Uint8Array(1 << 20), 0, 1 << 20, at);
    fsyncSync(raw);
    const entries = new Map([[WORKERS.log as string, new URL("../../src/entry/log-writer.ts", import.meta.url)]]);
    let limits: LogLimits | undefined;
    const log = await LogHandle.open(threadSpawner(entries).spawn(WORKERS.log, { folder: join(folder, "log") }), {
      acknowledge: (number) => limits!.#onPersisted(number),
      failed: (error) => {
        throw error;
      },
    });
    limits = new LogLimits(folder, raw, log);
    return limits;
  }

  private constructor(folder: string, raw: number, log: LogHandle) {
    this.#folder = folder;
    this.#raw = raw;
    this.#log = log;
  }

  /** Entries per second of one write of `batch` entries and one fdatasync, over and over, on this thread. */
  async raw(batch: number, seconds: number): Promise<number> {
    const bytes = new Uint8Array(batch * ENTRY_BYTES).fill(7);
    const started = performance.now();
    let entries = 0;
    while (performance.now() - started < seconds * 1000) {
      if (this.#rawPosition + bytes.length > RAW_FILE_BYTES) this.#rawPosition = 0;
      writeSync(this.#raw, bytes, 0, bytes.length, this.#rawPosition);
      fdatasyncSync(this.#raw);
      this.#rawPosition += bytes.length;
      entries += batch;
    }
    return (entries * 1000) / (performance.now() - started);
  }

  /** Entries per second of appending `batch` entries and waiting until they are durable, over and over, one batch at a time. */
  async writer(batch: number, seconds: number): Promise<number> {
    const data = new Uint8Array(PAYLOAD_BYTES).fill(7);
    const started = performance.now();
    let count = 0;
    while (performance.now() - started < seconds * 1000) {
      const persisted = new Promise<void>((resolve) => (this.#persisted = resolve));
      const entries = Array.from({ length: batch }, () => ({ index: ++this.#index, term: 1, type: "normal" as const, data }));
      this.#log.append({
        number: ++this.#number,
        hardState: { term: 1, vote: 1, commit: this.#index - batch },
        snapshot: undefined,
        entries,
        mustSync: true,
      });
      await persisted;
      count += batch;
      if (this.#number % 1024 === 0) await this.#log.compact({ index: this.#index, term: 1 });
    }
    return (count * 1000) / (performance.now() - started);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log.close();
    closeSync(this.#raw);
    rmSync(this.#folder, { recursive: true });
  }

  #onPersisted(number: number): void {
    if (number === this.#number) this.#persisted?.();
  }
}
