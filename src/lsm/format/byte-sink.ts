/** Where an encoder's output gathers: in one array if what it will come to was foretold, else in a few that are joined at the end. */
import { concat, EMPTY_BYTES } from "../../base/mod.ts";

const SEGMENT_BYTES_MIN = 4096;
const SEGMENT_BYTES_MAX = 4_194_304;

/** See the header of this file. */
export class ByteSink {
  private full: Uint8Array[] = [];
  private segment: Uint8Array = EMPTY_BYTES;
  private used = 0;
  private fullBytes = 0;
  private expectedBytes = 0;

  /** Begins anew, in the same memory if that suffices: what `finish` gave is valid no more. If not more than `expectedBytes` come, nothing is copied twice. */
  restart(expectedBytes: number): this {
    if (this.full.length > 0 || this.segment.length < expectedBytes) this.segment = EMPTY_BYTES;
    this.expectedBytes = expectedBytes;
    this.full = [];
    this.fullBytes = 0;
    this.used = 0;
    return this;
  }

  /** Bytes taken so far. */
  get length(): number {
    return this.fullBytes + this.used;
  }

  /** Takes a copy of `bytes`. */
  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.segment.set(bytes, this.used);
    this.used += bytes.length;
  }

  /** Takes a number as u32 BE. */
  appendU32(value: number): void {
    this.reserve(4);
    const { segment, used } = this;
    segment[used] = value >>> 24;
    segment[used + 1] = value >>> 16;
    segment[used + 2] = value >>> 8;
    segment[used + 3] = value;
    this.used += 4;
  }

  /** Everything, valid until `restart`. */
  finish(): Uint8Array {
    const last = this.segment.subarray(0, this.used);
    return this.full.length === 0 ? last : concat([...this.full, last]);
  }

  private reserve(bytes: number): void {
    if (this.used + bytes <= this.segment.length) return;
    if (this.used > 0) this.full.push(this.segment.subarray(0, this.used));
    this.fullBytes += this.used;
    this.used = 0;
    const usual = this.fullBytes === 0 ? this.expectedBytes : Math.min(this.fullBytes, SEGMENT_BYTES_MAX);
    this.segment = new Uint8Array(Math.max(usual, bytes, SEGMENT_BYTES_MIN));
  }
}
