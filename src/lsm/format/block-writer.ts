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
import { FLAG_CREATE, FLAG_EXPIRE, setTime, TOMBSTONE, type Row } from "./row.ts";

const RESTART_INTERVAL = 16;
const SEQ_AND_FLAGS_BYTES = 9;
const U32 = 0x1_0000_0000;

/** Builds one block after the other; the buffer is reused, `finish` gives a copy. */
export class BlockWriter {
  private readonly blockSizeBytes: number;
  private buffer: Uint8Array;
  private view: DataView;
  private length = 0;
  private restarts: number[] = [];
  private entries = 0;
  private lastKey: Uint8Array = new Uint8Array(0);

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
    const isRestart = this.entries % RESTART_INTERVAL === 0;
    const shared = isRestart ? 0 : commonPrefixLength(this.lastKey, row.key);
    const unshared = row.key.length - shared;
    const valueLength = row.kind === TOMBSTONE ? 0 : row.value.length;
    const times = (row.expireTs === undefined ? 0 : 8) + (row.createTs === undefined ? 0 : 8);
    const head = varintLength(shared) + varintLength(unshared) + varintLength(valueLength);
    const entryBytes = head + unshared + valueLength + SEQ_AND_FLAGS_BYTES + times;
    const trailer = 2 * this.restarts.length + 2 + (isRestart ? 2 : 0);
    if (this.entries > 0 && this.length + trailer + entryBytes > this.blockSizeBytes) return false;
    this.reserve(entryBytes);
    if (isRestart) this.restarts.push(this.length);
    this.write(row, shared, valueLength);
    this.entries++;
    this.lastKey = row.key;
    return true;
  }

  /** The block's bytes, newly allocated; the writer is empty again. */
  finish(): Uint8Array {
    assert(this.entries > 0, "a block has at least one entry");
    const block = new Uint8Array(this.length + this.restarts.length * 2 + 2);
    block.set(this.buffer.subarray(0, this.length));
    const view = viewOf(block);
    let at = this.length;
    for (const restart of this.restarts) {
      assert(restart <= 0xffff, "a restart offset is a u16");
      view.setUint16(at, restart);
      at += 2;
    }
    view.setUint16(at, this.restarts.length);
    this.length = 0;
    this.restarts = [];
    this.entries = 0;
    return block;
  }

  private write(row: Row, shared: number, valueLength: number): void {
    const unshared = row.key.length - shared;
    this.writeVarint(shared);
    this.writeVarint(unshared);
    this.writeVarint(valueLength);
    this.writeBytes(row.key, shared);
    if (valueLength > 0) this.writeBytes(row.value, 0);
    const flags = row.kind | (row.expireTs === undefined ? 0 : FLAG_EXPIRE) | (row.createTs === undefined ? 0 : FLAG_CREATE);
    this.view.setUint32(this.length, Math.floor(row.seq / U32));
    this.view.setUint32(this.length + 4, row.seq % U32);
    this.buffer[this.length + 8] = flags;
    this.length += SEQ_AND_FLAGS_BYTES;
    if (row.expireTs !== undefined) {
      setTime(this.view, this.length, row.expireTs);
      this.length += 8;
    }
    if (row.createTs !== undefined) {
      setTime(this.view, this.length, row.createTs);
      this.length += 8;
    }
  }

  private writeBytes(bytes: Uint8Array, from: number): void {
    const count = bytes.length - from;
    const { buffer, length } = this;
    // A call into the runtime costs more than copying a few bytes here.
    if (count <= 32) for (let i = 0; i < count; i++) buffer[length + i] = bytes[from + i] as number;
    else buffer.set(from === 0 ? bytes : bytes.subarray(from), length);
    this.length += count;
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

function commonPrefixLength(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length);
  let i = 0;
  while (i < length && left[i] === right[i]) i++;
  return i;
}
