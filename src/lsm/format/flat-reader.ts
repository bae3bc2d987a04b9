/**
 * Reads FlatBuffers without trusting them: every offset and length is checked against the buffer before it is followed, and a
 * violation is an LSM_CORRUPT error that names the object.
 */
import { copyBytes, fromUtf8, viewOf } from "../../base/mod.ts";
import { damaged } from "./damage.ts";

/** Tables visited while reading one buffer, at most: a crafted file cannot make the reader run away. */
const MAX_TABLES = 4_000_000;

/** A buffer being read. */
export class FlatReader {
  readonly object: string;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  #tables = 0;

  constructor(object: string, bytes: Uint8Array) {
    this.object = object;
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }

  /** The root table. @throws LSM_CORRUPT */
  root(): FlatTable {
    this.check(0, 4);
    return this.table(this.view.getUint32(0, true));
  }

  /** The table at `position`. @throws LSM_CORRUPT */
  table(position: number): FlatTable {
    this.#tables++;
    if (this.#tables > MAX_TABLES) throw this.damage("flatbuffer has too many tables", position);
    this.check(position, 4);
    const vtable = position - this.view.getInt32(position, true);
    this.check(vtable, 4);
    const vtableBytes = this.view.getUint16(vtable, true);
    const tableBytes = this.view.getUint16(vtable + 2, true);
    if (vtableBytes < 4 || vtableBytes % 2 !== 0 || tableBytes < 4) throw this.damage("flatbuffer vtable is malformed", vtable);
    this.check(vtable, vtableBytes);
    this.check(position, tableBytes);
    return new FlatTable(this, { position, vtable, slots: (vtableBytes - 4) / 2, tableBytes });
  }

  /** Throws unless `length` bytes at `position` lie inside. @throws LSM_CORRUPT */
  check(position: number, length: number): void {
    if (position < 0 || position + length > this.bytes.length) throw this.damage("flatbuffer points outside itself", position);
  }

  damage(what: string, offset: number): Error {
    return damaged({ object: this.object, what, offset });
  }
}

/** Where a table lies in the buffer. Unit: bytes, but for the number of slots. */
interface TablePlace {
  readonly position: number;
  readonly vtable: number;
  readonly slots: number;
  readonly tableBytes: number;
}

/** A table; each getter takes the slot, and gives the default (or undefined) if the field is absent. */
export class FlatTable {
  readonly #reader: FlatReader;
  readonly #place: TablePlace;

  constructor(reader: FlatReader, place: TablePlace) {
    this.#reader = reader;
    this.#place = place;
  }

  /** Absolute position of a field of `sizeBytes`, or undefined if absent. */
  #field(slot: number, sizeBytes: number): number | undefined {
    if (slot >= this.#place.slots) return undefined;
    const relative = this.#reader.view.getUint16(this.#place.vtable + 4 + slot * 2, true);
    if (relative === 0) return undefined;
    if (relative + sizeBytes > this.#place.tableBytes)
      throw this.#reader.damage("flatbuffer field lies outside its table", this.#place.position);
    return this.#place.position + relative;
  }

  u8(slot: number): number {
    const at = this.#field(slot, 1);
    return at === undefined ? 0 : this.#reader.view.getUint8(at);
  }

  u16(slot: number): number | undefined {
    const at = this.#field(slot, 2);
    return at === undefined ? undefined : this.#reader.view.getUint16(at, true);
  }

  u32(slot: number): number {
    const at = this.#field(slot, 4);
    return at === undefined ? 0 : this.#reader.view.getUint32(at, true);
  }

  /** @throws LSM_CORRUPT if it is 2^53 or more: no count or offset of ours can be. */
  u64(slot: number): number {
    const at = this.#field(slot, 8);
    if (at === undefined) return 0;
    const value = this.#reader.view.getBigUint64(at, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.#reader.damage("number is too large", at);
    return Number(value);
  }

  u64Exact(slot: number): bigint {
    const at = this.#field(slot, 8);
    return at === undefined ? 0n : this.#reader.view.getBigUint64(at, true);
  }

  i64(slot: number): number {
    const at = this.#field(slot, 8);
    return at === undefined ? 0 : Number(this.#reader.view.getBigInt64(at, true));
  }

  #target(slot: number): number | undefined {
    const at = this.#field(slot, 4);
    if (at === undefined) return undefined;
    return at + this.#reader.view.getUint32(at, true);
  }

  table(slot: number): FlatTable | undefined {
    const target = this.#target(slot);
    return target === undefined ? undefined : this.#reader.table(target);
  }

  /** @throws LSM_CORRUPT if absent. */
  requiredTable(slot: number): FlatTable {
    const table = this.table(slot);
    if (table === undefined) throw this.#reader.damage("flatbuffer lacks a required table", this.#place.position);
    return table;
  }

  /** Bytes of a vector of u8: a view into the buffer. */
  bytes(slot: number): Uint8Array | undefined {
    const target = this.#target(slot);
    if (target === undefined) return undefined;
    const length = this.#vectorLength(target, 1);
    return this.#reader.bytes.subarray(target + 4, target + 4 + length);
  }

  /** A copy of the bytes, for what outlives the buffer; undefined if absent. */
  ownBytes(slot: number): Uint8Array | undefined {
    const bytes = this.bytes(slot);
    return bytes === undefined ? undefined : copyBytes(bytes);
  }

  string(slot: number): string | undefined {
    const bytes = this.bytes(slot);
    if (bytes === undefined) return undefined;
    try {
      return fromUtf8(bytes);
    } catch {
      throw this.#reader.damage("string is not UTF-8", this.#place.position);
    }
  }

  u32s(slot: number): number[] | undefined {
    const target = this.#target(slot);
    if (target === undefined) return undefined;
    const length = this.#vectorLength(target, 4);
    return Array.from({ length }, (_, i) => this.#reader.view.getUint32(target + 4 + i * 4, true));
  }

  tables(slot: number): FlatTable[] | undefined {
    const target = this.#target(slot);
    if (target === undefined) return undefined;
    const length = this.#vectorLength(target, 4);
    const tables: FlatTable[] = [];
    for (let i = 0; i < length; i++) {
      const at = target + 4 + i * 4;
      tables.push(this.#reader.table(at + this.#reader.view.getUint32(at, true)));
    }
    return tables;
  }

  /** @throws LSM_CORRUPT if absent. */
  requiredTables(slot: number): FlatTable[] {
    const tables = this.tables(slot);
    if (tables === undefined) throw this.#reader.damage("flatbuffer lacks a required vector", this.#place.position);
    return tables;
  }

  #vectorLength(target: number, elementBytes: number): number {
    this.#reader.check(target, 4);
    const length = this.#reader.view.getUint32(target, true);
    this.#reader.check(target + 4, length * elementBytes);
    return length;
  }
}
