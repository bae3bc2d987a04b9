/** A snapshot: reads as of one sequence number, as long as it is open. Close it: what it sees is kept for it. */
import { PumiceError } from "../../base/mod.ts";
import { NOT_CACHED, ownValue, Reads, type GetOptions, type ReadSource, type ScanOptions } from "./reads.ts";
import type { KeyValue, Scan } from "./scan.ts";

/** See the header of this file. */
export class Snapshot {
  /** It sees commits up to this. */
  readonly seq: number;
  readonly #reads: Reads;
  readonly #unpin: () => void;
  #isClosed = false;

  constructor(source: ReadSource, seq: number, unpin: () => void) {
    this.seq = seq;
    this.#unpin = unpin;
    this.#reads = new Reads({
      ...source,
      check: () => {
        source.check();
        if (this.#isClosed) throw new PumiceError("LSM_CLOSED", { what: "the snapshot is closed" });
      },
    });
  }

  /** The value of `key`, or undefined. */
  async get(key: Uint8Array, options?: GetOptions): Promise<Uint8Array | undefined> {
    return ownValue(await this.#reads.row(key, options));
  }

  /** As get, without a promise, or NOT_CACHED. */
  getSync(key: Uint8Array): Uint8Array | undefined | typeof NOT_CACHED {
    const row = this.#reads.rowSync(key);
    return row === NOT_CACHED ? row : ownValue(row);
  }

  /** Key, value and times. */
  async getRow(key: Uint8Array, options?: GetOptions): Promise<KeyValue | undefined> {
    return await this.#reads.keyValue(key, options);
  }

  /** Rows of a range. */
  scan(options: ScanOptions = {}): Scan {
    return this.#reads.scan(options);
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unpin();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
