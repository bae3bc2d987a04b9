/**
 * Block, format version 2. All integers big-endian; varint is LEB128.
 *
 *   entry* | restart offset u16 * r | r u16
 *   entry: shared varint | unshared varint | value length varint | key[shared..] | value | seq u64 | flags u8 | [expire i64] | [create i64]
 *
 * 1. `shared` counts the bytes that a key shares with the one before it; it is 0 at a restart.
 * 2. Every 16th entry is a restart; the first always is.
 * 3. A block with more than one entry is at most `blockSizeBytes` long.
 */
import { assert, viewOf } from "../../base/mod.ts";
import { FLAG_CREATE, FLAG_EXPIRE, PackedRow, setTime, type Row } from "./row.ts";

const RESTART_INTERVAL = 16;
const SEQ_AND_FLAGS_BYTES = 9;
const U32 = 0x1_0000_0000;
const INLINE_COPY_BYTES = 128;

/** Builds one block after the other in a buffer that is reused. */
export class BlockWriter {
  private readonly blockSizeBytes: number;
  private buffer: Uint8Array;
  private view: DataView;
  private length = 0;
  private restarts: number[] = [];
  private entries = 0;
  private lastKey: Uint8Array = new Uint8Array(64);
  private lastKeyLength = 0;
  private readonly packed = new PackedRow();

  constructor(blockSizeBytes: number) {
    this.blockSizeBytes = blockSizeBytes;
    this.buffer = new Uint8Array(blockSizeBytes + 256);
    this.view = viewOf(this.buffer);
  }

  get isEmpty(): boolean {
    return this.entries === 0;
  }

  /** Appends the row unless it does not fit; then the block is to be finished and the row added to the next. */
  add(row: Row): boolean {
    return this.addPacked(this.packed.set(row));
  }

  /** As add. */
  addPacked(row: PackedRow): boolean {
    const isRestart = this.entries % RESTART_INTERVAL === 0;
    const shared = isRestart ? 0 : this.sharedLength(row);
    const unshared = row.keyLength - shared;
    const times = (Number.isNaN(row.expireTs) ? 0 : 8) + (Number.isNaN(row.createTs) ? 0 : 8);
    const head = varintLength(shared) + varintLength(unshared) + varintLength(row.valueLength);
    const entryBytes = head + unshared + row.valueLength + SEQ_AND_FLAGS_BYTES + times;
    const trailer = 2 * this.restarts.length + 2 + (isRestart ? 2 : 0);
    if (this.entries > 0 && this.length + trailer + entryBytes > this.blockSizeBytes) return false;
    this.reserve(entryBytes + trailer);
    if (isRestart) this.restarts.push(this.length);
    this.write(row, shared);
    this.entries++;
    this.rememberKey(row, shared);
    return true;
  }

  /** The block's bytes, valid until the next call; the writer is empty again. */
  finish(): Uint8Array {
    assert(this.entries > 0, "a block has at least one entry");
    const { view } = this;
    for (const restart of this.restarts) {
      assert(restart <= 0xffff, "a restart offset is a u16");
      view.setUint16(this.length, restart);
      this.length += 2;
    }
    view.setUint16(this.length, this.restarts.length);
    const block = this.buffer.subarray(0, this.length + 2);
    this.length = 0;
    this.restarts = [];
    this.entries = 0;
    return block;
  }

  private write(row: PackedRow, shared: number): void {
    this.writeVarint(shared);
    this.writeVarint(row.keyLength - shared);
    this.writeVarint(row.valueLength);
    this.writeBytes(row.keyBytes, row.keyAt + shared, row.keyLength - shared);
    this.writeBytes(row.valueBytes, row.valueAt, row.valueLength);
    const hasExpiry = !Number.isNaN(row.expireTs);
    const hasCreation = !Number.isNaN(row.createTs);
    this.view.setUint32(this.length, Math.floor(row.seq / U32));
    this.view.setUint32(this.length + 4, row.seq % U32);
    this.buffer[this.length + 8] = row.kind | (hasExpiry ? FLAG_EXPIRE : 0) | (hasCreation ? FLAG_CREATE : 0);
    this.length += SEQ_AND_FLAGS_BYTES;
    if (hasExpiry) {
      setTime(this.view, this.length, row.expireTs);
      this.length += 8;
    }
    if (hasCreation) {
      setTime(this.view, this.length, row.createTs);
      this.length += 8;
    }
  }

  private writeBytes(bytes: Uint8Array, from: number, count: number): void {
    const { buffer, length } = this;
    // A call into the runtime costs more than copying a few bytes here.
    if (count <= INLINE_COPY_BYTES) for (let i = 0; i < count; i++) buffer[length + i] = bytes[from + i] as number;
    else buffer.set(bytes.subarray(from, from + count), length);
    this.length += count;
  }

  private sharedLength(row: PackedRow): number {
    const { lastKey } = this;
    const { keyBytes, keyAt } = row;
    const limit = Math.min(this.lastKeyLength, row.keyLength);
    let i = 0;
    while (i < limit && lastKey[i] === keyBytes[keyAt + i]) i++;
    return i;
  }

  private rememberKey(row: PackedRow, shared: number): void {
    const { keyBytes, keyAt, keyLength } = row;
    if (keyLength > this.lastKey.length) {
      const grown = new Uint8Array(keyLength * 2);
      grown.set(this.lastKey);
      this.lastKey = grown;
    }
    const { lastKey } = this;
    for (let i = shared; i < keyLength; i++) lastKey[i] = keyBytes[keyAt + i] as number;
    this.lastKeyLength = keyLength;
  }

  private writeVarint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.buffer[this.length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.buffer[this.length++] = rest;
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(this.buffer.length * 2, this.length + bytes));
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
    this.view = viewOf(grown);
  }
}

function varintLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}
