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
import { copyBytes, assert, viewOf } from "../../base/mod.ts";
import type { Entry } from "./entry-cursor.ts";
import { FLAG_CREATE, FLAG_EXPIRE, setTime, TOMBSTONE, type Row } from "./row.ts";

const RESTART_INTERVAL = 16;
const SEQ_AND_FLAGS_BYTES = 9;
/** Restart offsets are 16 bits. */
const BLOCK_BYTES_MAX = 65_536;
const SLACK_BYTES = 256;
const U32 = 0x1_0000_0000;

interface EntryHead {
  readonly key: Uint8Array;
  readonly keyLength: number;
  readonly valueLength: number;
}

/** Builds one block after the other in one buffer. */
export class BlockWriter {
  readonly #blockSizeBytes: number;
  #buffer: Uint8Array;
  #view: DataView;
  /** Bytes of the buffer that are the writer's. */
  #room: number;
  #length = 0;
  #restarts: number[] = [];
  #entries = 0;
  /** The key of the last entry is its first `keyLength` bytes. */
  #keyBuffer: Uint8Array = new Uint8Array(64);
  #keyLength = 0;

  /** With a `buffer`, blocks are made at its beginning, as long as they are not larger than they should be: entries that lie in it too are cheaper to copy. */
  constructor(blockSizeBytes: number, buffer?: Uint8Array) {
    this.#blockSizeBytes = blockSizeBytes;
    this.#room = blockRoomBytes(blockSizeBytes);
    this.#buffer = buffer ?? new Uint8Array(this.#room);
    this.#view = viewOf(this.#buffer);
  }

  get isEmpty(): boolean {
    return this.#entries === 0;
  }

  /** A view of the last entry's key, of this block or of the one before; changes with the next entry. */
  get lastKey(): Uint8Array {
    return this.#keyBuffer.subarray(0, this.#keyLength);
  }

  /** How many bytes a key, the first `length` of `key`, shares with the last entry's. */
  sharedWithLast(key: Uint8Array, length: number): number {
    const keyBuffer = this.#keyBuffer;
    const end = Math.min(this.#keyLength, length);
    let i = 0;
    while (i < end && keyBuffer[i] === key[i]) i++;
    return i;
  }

  /** How the key of the last entry, of which `shared` bytes are those of `key`, compares with it: negative, 0 or positive. */
  compareLast(key: Uint8Array, length: number, shared: number): number {
    if (shared === length || shared === this.#keyLength) return this.#keyLength - length;
    return (this.#keyBuffer[shared] as number) - (key[shared] as number);
  }

  /**
   * Appends the row, whose key shares `shared` bytes with the last one, unless it does not fit; then the block is to be finished and the row added
   * to the next.
   */
  add(row: Row, shared: number): boolean {
    const valueLength = row.kind === TOMBSTONE ? 0 : row.value.length;
    const times = (row.expireTs === undefined ? 0 : 8) + (row.createTs === undefined ? 0 : 8);
    const entryLength = valueLength + SEQ_AND_FLAGS_BYTES + times;
    if (!this.#begin({ key: row.key, keyLength: row.key.length, valueLength }, shared, entryLength)) return false;
    this.#writeTail(row, valueLength);
    return true;
  }

  /** The same with an entry. It is no tombstone with a value. */
  addEntry(entry: Entry, shared: number): boolean {
    const { tailAt, tailEnd } = entry;
    if (!this.#begin(entry, shared, tailEnd - tailAt)) return false;
    if (entry.bytes === this.#buffer) this.#buffer.copyWithin(this.#length, tailAt, tailEnd);
    else this.#buffer.set(entry.bytes.subarray(tailAt, tailEnd), this.#length);
    this.#length += tailEnd - tailAt;
    return true;
  }

  /** The block's bytes, valid until the next row is added; the writer is empty again. */
  finish(): Uint8Array {
    assert(this.#entries > 0, "a block has at least one entry");
    const length = this.#length + this.#restarts.length * 2 + 2;
    this.#reserve(length - this.#length);
    let at = this.#length;
    for (const restart of this.#restarts) {
      assert(restart <= 0xffff, "a restart offset is a u16");
      this.#view.setUint16(at, restart);
      at += 2;
    }
    this.#view.setUint16(at, this.#restarts.length);
    this.#clear();
    return this.#buffer.subarray(0, length);
  }

  /** The entries alone, without restarts, in memory of their own; the writer is empty again. */
  finishEntries(): Uint8Array {
    const entries = copyBytes(this.#buffer, 0, this.#length);
    this.#clear();
    return entries;
  }

  #clear(): void {
    this.#length = 0;
    this.#restarts = [];
    this.#entries = 0;
  }

  /** Writes an entry up to its tail, for which there is room then. False if the entry does not fit. */
  #begin(entry: EntryHead, sharedWithLast: number, tailLength: number): boolean {
    const { key, keyLength, valueLength } = entry;
    const isRestart = this.#entries % RESTART_INTERVAL === 0;
    const shared = isRestart ? 0 : sharedWithLast;
    const unshared = keyLength - shared;
    const entryBytes = varintLength(shared) + varintLength(unshared) + varintLength(valueLength) + unshared + tailLength;
    const trailer = 2 * this.#restarts.length + 2 + (isRestart ? 2 : 0);
    if (this.#entries > 0 && this.#length + trailer + entryBytes > this.#blockSizeBytes) return false;
    this.#reserve(entryBytes);
    if (isRestart) this.#restarts.push(this.#length);
    this.#writeVarint(shared);
    this.#writeVarint(unshared);
    this.#writeVarint(valueLength);
    this.#writeKey(key, shared, keyLength);
    this.#entries++;
    return true;
  }

  /** Writes bytes [shared, keyLength) of the key, and remembers it. */
  #writeKey(key: Uint8Array, shared: number, keyLength: number): void {
    if (keyLength > this.#keyBuffer.length) {
      const grown = new Uint8Array(Math.max(keyLength, this.#keyBuffer.length * 2));
      grown.set(this.#keyBuffer);
      this.#keyBuffer = grown;
    }
    const buffer = this.#buffer;
    const length = this.#length;
    const keyBuffer = this.#keyBuffer;
    const unshared = keyLength - shared;
    // A call into the runtime costs more than copying a few bytes here.
    if (unshared <= 32) {
      for (let i = 0; i < unshared; i++) {
        const byte = key[shared + i] as number;
        buffer[length + i] = byte;
        keyBuffer[shared + i] = byte;
      }
    } else {
      const suffix = key.subarray(shared, keyLength);
      buffer.set(suffix, length);
      keyBuffer.set(suffix, shared);
    }
    this.#keyLength = keyLength;
    this.#length += unshared;
  }

  #writeTail(row: Row, valueLength: number): void {
    if (valueLength > 0) this.#writeBytes(row.value);
    const flags = row.kind | (row.expireTs === undefined ? 0 : FLAG_EXPIRE) | (row.createTs === undefined ? 0 : FLAG_CREATE);
    this.#view.setUint32(this.#length, Math.floor(row.seq / U32));
    this.#view.setUint32(this.#length + 4, row.seq % U32);
    this.#buffer[this.#length + 8] = flags;
    this.#length += SEQ_AND_FLAGS_BYTES;
    if (row.expireTs !== undefined) {
      setTime(this.#view, this.#length, row.expireTs);
      this.#length += 8;
    }
    if (row.createTs !== undefined) {
      setTime(this.#view, this.#length, row.createTs);
      this.#length += 8;
    }
  }

  #writeBytes(bytes: Uint8Array): void {
    const count = bytes.length;
    const buffer = this.#buffer;
    const length = this.#length;
    if (count <= 32) for (let i = 0; i < count; i++) buffer[length + i] = bytes[i] as number;
    else buffer.set(bytes, length);
    this.#length += count;
  }

  #writeVarint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#room) return;
    const grown = new Uint8Array(Math.max(this.#room * 2, this.#length + bytes));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
    this.#view = viewOf(grown);
    this.#room = grown.length;
  }
}

/** How much of a buffer a writer of blocks of that size needs. */
export function blockRoomBytes(blockSizeBytes: number): number {
  return Math.min(blockSizeBytes, BLOCK_BYTES_MAX) + SLACK_BYTES;
}

/** The rows, in order, as entries without restarts: what a merge makes of a block of version 1. */
export function rowsAsEntries(rows: readonly Row[]): Uint8Array {
  const writer = new BlockWriter(Infinity);
  for (const row of rows) writer.add(row, writer.sharedWithLast(row.key, row.key.length));
  return writer.finishEntries();
}

function varintLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}
