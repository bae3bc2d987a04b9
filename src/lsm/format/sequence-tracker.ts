/**
 * Sequence tracker: which sequence number was current at which second, in at most 8192 points.
 *
 *   version u8 = 1 | n u32 LE | column of sequence numbers | column of unix seconds
 *   column: n u32 BE | if n > 0: first value i64 BE | per further value the change d of its delta, most significant bit first:
 *           d = 0: '0' | |d| <= 63: '10' + 7 bits | <= 255: '110' + 9 | <= 2047: '1110' + 12 | else '1111' + 32; padded to a byte
 *
 * Source of the coding: Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", 2015.
 */
import { concat, viewOf } from "../../base/mod.ts";
import { damaged } from "./damage.ts";
import { getTime, setTime } from "./row.ts";

/** A tracker without points. */
export const EMPTY_TRACKER: Uint8Array = Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/** At time `timeS` (seconds since 1970), `seq` was the newest sequence number. */
export interface TrackedPoint {
  readonly seq: number;
  readonly timeS: number;
}

const CAPACITY = 8192;
const INTERVAL_S = 60;

/** Size classes of a change of delta: bound of |d|, prefix bits, prefix value, payload bits. FROZEN. */
const CLASSES = [
  { bound: 63, prefixBits: 2, prefix: 0b10, bits: 7 },
  { bound: 255, prefixBits: 3, prefix: 0b110, bits: 9 },
  { bound: 2047, prefixBits: 4, prefix: 0b1110, bits: 12 },
  { bound: 0x7fff_ffff, prefixBits: 4, prefix: 0b1111, bits: 32 },
] as const;

/** Takes points in order and keeps them sparse: one a minute, and every other one when it is full. */
export class SequenceTracker {
  #points: TrackedPoint[];
  #intervalS = INTERVAL_S;

  constructor(points: readonly TrackedPoint[]) {
    this.#points = points.slice();
  }

  /** Notes the point unless one was noted less than an interval before, or the clock went back. */
  record(seq: number, timeS: number): void {
    const last = this.#points.at(-1);
    if (last !== undefined && (timeS < last.timeS + this.#intervalS || seq <= last.seq)) return;
    // A change of delta beyond 32 bits cannot be written; such a point is left out rather than written wrong.
    if (last !== undefined && seq - last.seq > 0x3fff_ffff) return;
    this.#points.push({ seq, timeS });
    if (this.#points.length <= CAPACITY) return;
    this.#points = this.#points.filter((_, i) => i % 2 === 0);
    this.#intervalS *= 2;
  }

  encode(): Uint8Array {
    return encodeTracker(this.#points);
  }
}

/** Bytes of a tracker. */
export function encodeTracker(points: readonly TrackedPoint[]): Uint8Array {
  const head = new Uint8Array(5);
  head[0] = 1;
  viewOf(head).setUint32(1, points.length, true);
  return concat([head, encodeColumn(points.map((point) => point.seq)), encodeColumn(points.map((point) => point.timeS))]);
}

/** Points of a tracker. @throws LSM_CORRUPT */
export function decodeTracker(bytes: Uint8Array, object: string): TrackedPoint[] {
  if (bytes.length < 5 || bytes[0] !== 1) throw damaged({ object, what: "sequence tracker has an unknown version" });
  const reader = new BitReader(bytes, 5, object);
  const seqs = decodeColumn(reader);
  const times = decodeColumn(reader);
  const count = viewOf(bytes).getUint32(1, true);
  if (seqs.length !== count || times.length !== count) throw damaged({ object, what: "sequence tracker's columns differ in length" });
  return seqs.map((seq, i) => ({ seq, timeS: times[i] as number }));
}

function encodeColumn(values: readonly number[]): Uint8Array {
  const head = new Uint8Array(values.length === 0 ? 4 : 12);
  viewOf(head).setUint32(0, values.length);
  if (values.length === 0) return head;
  setTime(viewOf(head), 4, values[0] as number);
  const bits = new BitWriter();
  let delta = 0;
  for (let i = 1; i < values.length; i++) {
    const next = (values[i] as number) - (values[i - 1] as number);
    const change = next - delta;
    delta = next;
    if (change === 0) {
      bits.write(0, 1);
      continue;
    }
    const size = CLASSES.find((entry) => Math.abs(change) <= entry.bound) ?? CLASSES[3];
    bits.write(size.prefix, size.prefixBits);
    bits.write(size.bits === 32 ? change >>> 0 : change & (2 ** size.bits - 1), size.bits);
  }
  return concat([head, bits.finish()]);
}

function decodeColumn(reader: BitReader): number[] {
  const count = reader.read(32);
  if (count === 0) return [];
  const values = [reader.time()];
  let delta = 0;
  while (values.length < count) {
    delta += readChange(reader);
    values.push((values.at(-1) as number) + delta);
  }
  reader.alignToByte();
  return values;
}

function readChange(reader: BitReader): number {
  let ones = 0;
  while (ones < 4 && reader.read(1) === 1) ones++;
  if (ones === 0) return 0;
  const bits = CLASSES[ones - 1]?.bits ?? 32;
  const value = reader.read(bits);
  return value >= 2 ** (bits - 1) ? value - 2 ** bits : value;
}

class BitWriter {
  readonly #bytes: number[] = [];
  #used = 0;

  write(value: number, bits: number): void {
    for (let bit = bits - 1; bit >= 0; bit--) {
      if (this.#used % 8 === 0) this.#bytes.push(0);
      const one = Math.floor(value / 2 ** bit) % 2;
      const last = this.#bytes.length - 1;
      this.#bytes[last] = (this.#bytes[last] as number) | (one << (7 - (this.#used % 8)));
      this.#used++;
    }
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

class BitReader {
  readonly #bytes: Uint8Array;
  readonly #object: string;
  #bit: number;

  constructor(bytes: Uint8Array, startByte: number, object: string) {
    this.#bytes = bytes;
    this.#object = object;
    this.#bit = startByte * 8;
  }

  read(bits: number): number {
    if (this.#bit + bits > this.#bytes.length * 8) throw damaged({ object: this.#object, what: "sequence tracker is cut short" });
    let value = 0;
    for (let i = 0; i < bits; i++, this.#bit++)
      value = value * 2 + (((this.#bytes[this.#bit >>> 3] as number) >>> (7 - (this.#bit & 7))) & 1);
    return value;
  }

  /** An i64 at a byte border. */
  time(): number {
    const at = this.#bit / 8;
    if (at + 8 > this.#bytes.length) throw damaged({ object: this.#object, what: "sequence tracker is cut short" });
    this.#bit += 64;
    return getTime(viewOf(this.#bytes), at);
  }

  alignToByte(): void {
    this.#bit = Math.ceil(this.#bit / 8) * 8;
  }
}
