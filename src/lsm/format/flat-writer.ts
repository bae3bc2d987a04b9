/**
 * Writes FlatBuffers: the few shapes that SlateDB's schemas need. The buffer grows downwards, as in the reference builders: children
 * first, the root last. Fields of a table are laid out by size (largest first, at the highest address) and then by descending slot;
 * equal vtables are shared. So the bytes equal those of the code that flatc generates for Rust, and golden files can be compared whole.
 */
import { copyBytes, assert, utf8 } from "../../base/mod.ts";

/** Distance of something written from the END of the buffer, in bytes. */
export type FlatOffset = number;

/** One field of a table. `offset` fields hold a FlatOffset. A value equal to `absent` is left out. */
export interface FlatField {
  readonly slot: number;
  readonly sizeBytes: 1 | 2 | 4 | 8;
  readonly isOffset: boolean;
  readonly value: number | bigint;
}

export type MaybeField = FlatField | undefined;

/** A u8 or bool field with default 0. */
export function flatU8(slot: number, value: number): MaybeField {
  return value === 0 ? undefined : { slot, sizeBytes: 1, isOffset: false, value };
}

/** A u16 field with default 0. */
export function flatU16(slot: number, value: number): MaybeField {
  return value === 0 ? undefined : { slot, sizeBytes: 2, isOffset: false, value };
}

/** A u16 field whose default is null: written even if 0. */
export function flatOptionalU16(slot: number, value: number): MaybeField {
  return { slot, sizeBytes: 2, isOffset: false, value };
}

/** A u32 field with default 0. */
export function flatU32(slot: number, value: number): MaybeField {
  return value === 0 ? undefined : { slot, sizeBytes: 4, isOffset: false, value };
}

/** A 64-bit field, signed or not, with default 0. */
export function flatU64(slot: number, value: number | bigint): MaybeField {
  return Number(value) === 0 ? undefined : { slot, sizeBytes: 8, isOffset: false, value };
}

/** A field that points to a vector, string or table; left out if undefined. */
export function flatRef(slot: number, value: FlatOffset | undefined): MaybeField {
  return value === undefined ? undefined : { slot, sizeBytes: 4, isOffset: true, value };
}

const INITIAL_CAPACITY_BYTES = 1024;

/** Builds one FlatBuffer. */
export class FlatWriter {
  #buffer = new Uint8Array(INITIAL_CAPACITY_BYTES);
  #view = new DataView(this.#buffer.buffer);
  /** Invariant: bytes [head, buffer.length) are written. */
  #head = INITIAL_CAPACITY_BYTES;
  #maxAlignment = 1;
  /** Position (from the end) of each distinct vtable, by its bytes. */
  readonly #vtables = new Map<string, FlatOffset>();
  #lastVtable: { readonly words: readonly number[]; readonly offset: FlatOffset } | undefined;

  /** A vector of bytes. */
  bytes(bytes: Uint8Array): FlatOffset {
    this.#align(bytes.length, 4);
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#head);
    return this.#pushU32(bytes.length);
  }

  /** A string: UTF-8, its length before it, a zero byte after it. */
  string(text: string): FlatOffset {
    const bytes = utf8(text);
    this.#align(bytes.length + 1, 4);
    this.#reserve(bytes.length + 1);
    this.#buffer.set(bytes, this.#head);
    this.#buffer[this.#head + bytes.length] = 0;
    return this.#pushU32(bytes.length);
  }

  /** A vector of tables. */
  refs(targets: readonly FlatOffset[]): FlatOffset {
    this.#align(targets.length * 4, 4);
    for (let i = targets.length - 1; i >= 0; i--) this.#pushRef(targets[i] as FlatOffset);
    return this.#pushU32(targets.length);
  }

  /** A vector of u32. */
  u32s(values: readonly number[]): FlatOffset {
    this.#align(values.length * 4, 4);
    for (let i = values.length - 1; i >= 0; i--) this.#pushU32(values[i] as number);
    return this.#pushU32(values.length);
  }

  /** A table; `fields` in any order. */
  table(fields: readonly MaybeField[]): FlatOffset {
    const present: FlatField[] = [];
    let slots = 0;
    for (const field of fields) {
      if (field === undefined) continue;
      slots = Math.max(slots, field.slot + 1);
      // Few fields, most often in order: sorted as they come.
      let i = present.length;
      for (; i > 0 && isLaidBefore(field, present[i - 1] as FlatField); i--) present[i] = present[i - 1] as FlatField;
      present[i] = field;
    }
    const tail = this.#used();
    const words: number[] = [];
    for (let i = 0; i < slots + 2; i++) words.push(0);
    for (const field of present) {
      this.#pushField(field);
      words[field.slot + 2] = this.#used();
    }
    const start = this.#pushU32(0);
    words[0] = 4 + slots * 2;
    words[1] = start - tail;
    for (let i = 2; i < words.length; i++) if (words[i] !== 0) words[i] = start - (words[i] as number);
    const vtable = this.#vtable(words);
    this.#view.setInt32(this.#buffer.length - start, vtable - start, true);
    return start;
  }

  /** The finished buffer with `root` as its root table. */
  finish(root: FlatOffset): Uint8Array {
    this.#align(4, this.#maxAlignment);
    this.#pushRef(root);
    return copyBytes(this.#buffer, this.#head);
  }

  /** Where the vtable of those u16 is: the one there is already, if there is one. */
  #vtable(words: readonly number[]): FlatOffset {
    if (this.#lastVtable !== undefined && isSame(words, this.#lastVtable.words)) return this.#lastVtable.offset;
    const identity = words.join();
    let offset = this.#vtables.get(identity);
    if (offset === undefined) {
      this.#reserve(words.length * 2);
      words.forEach((word, i) => this.#view.setUint16(this.#head + i * 2, word, true));
      offset = this.#used();
      this.#vtables.set(identity, offset);
    }
    this.#lastVtable = { words, offset };
    return offset;
  }

  #pushField(field: FlatField): void {
    if (field.isOffset) {
      this.#align(4, 4);
      this.#pushRef(Number(field.value));
      return;
    }
    this.#align(field.sizeBytes, field.sizeBytes);
    this.#reserve(field.sizeBytes);
    if (field.sizeBytes === 8) this.#view.setBigUint64(this.#head, BigInt.asUintN(64, BigInt(field.value)), true);
    else if (field.sizeBytes === 4) this.#view.setUint32(this.#head, Number(field.value), true);
    else if (field.sizeBytes === 2) this.#view.setUint16(this.#head, Number(field.value), true);
    else this.#view.setUint8(this.#head, Number(field.value));
  }

  #pushRef(target: FlatOffset): void {
    this.#align(4, 4);
    assert(target <= this.#used(), "a flatbuffer reference points to what was written before");
    this.#pushU32(this.#used() + 4 - target);
  }

  #pushU32(value: number): FlatOffset {
    this.#align(4, 4);
    this.#reserve(4);
    this.#view.setUint32(this.#head, value, true);
    return this.#used();
  }

  #used(): number {
    return this.#buffer.length - this.#head;
  }

  /** Pads so that after `sizeBytes` more bytes the position is a multiple of `alignment`. */
  #align(sizeBytes: number, alignment: number): void {
    this.#maxAlignment = Math.max(this.#maxAlignment, alignment);
    const remainder = (this.#used() + sizeBytes) % alignment;
    if (remainder !== 0) this.#reserve(alignment - remainder);
  }

  /** Moves the head down by `sizeBytes`; the new bytes are zero. */
  #reserve(sizeBytes: number): void {
    if (this.#head < sizeBytes) {
      const used = this.#used();
      const grown = new Uint8Array(Math.max(this.#buffer.length * 2, used + sizeBytes));
      grown.set(this.#buffer.subarray(this.#head), grown.length - used);
      this.#buffer = grown;
      this.#view = new DataView(grown.buffer);
      this.#head = grown.length - used;
    }
    this.#head -= sizeBytes;
  }
}

/** Larger fields lie first, then higher slots. */
function isLaidBefore(left: FlatField, right: FlatField): boolean {
  return left.sizeBytes !== right.sizeBytes ? left.sizeBytes > right.sizeBytes : left.slot > right.slot;
}

function isSame(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((word, i) => word === right[i]);
}
