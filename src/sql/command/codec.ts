/**
 * Bytes of a command, version 1. Little-endian; `docs/formats/command.md` draws the frame; golden files stand in test/sql/golden.
 *
 *     version u8 = 1 | kind u8 | flags u8 | 0 u8 | time u64 | seed u64 | steps u64 | [session u64 | sequence u64] | body
 *
 * One pass into one buffer that grows and is reused, then one copy of exactly what was written: encoding runs on the HTTP thread.
 */
import { copyBytes, assert, fromUtf8, getU64, PumiceError, setU64, viewOf } from "../../base/mod.ts";
import {
  type Command,
  type CommandStamp,
  isNamedParam,
  LOAD_CHUNK_BYTES_MAX,
  type RetiredCommand,
  type SqlCommand,
  type SqlParam,
  type SqlValue,
  type Statement,
} from "./command.ts";
import { TextCache } from "./text-cache.ts";

/** FROZEN. The first byte of every command. */
export const COMMAND_VERSION = 1;

/** FROZEN. */
const KINDS = { execute: 1, request: 2, "load-chunk": 4, "load-commit": 5, "load-abort": 6 } as const;
/** FROZEN. Reads at level strong were written so before they sent a barrier (docs/decisions/0021-strong-reads-by-barrier.md). */
const KIND_RETIRED_QUERY = 3;

/** FROZEN. */
const FLAG_TRANSACTION = 1;
const FLAG_SCRIPT = 2;
const FLAG_REQUEST_ID = 4;
const FLAG_ASSOCIATIVE = 8;
const FLAG_BLOB_ARRAY = 16;
const FLAG_QUALIFY_COLUMNS = 32;
const FLAGS_ALL = 63;

/** FROZEN. Tags of parameters; `TAG_NAMED` is added where a name precedes the value. */
const TAG_NULL = 0;
const TAG_INTEGER = 1;
const TAG_REAL = 2;
const TAG_TEXT = 3;
const TAG_BLOB = 4;
const TAG_FALSE = 5;
const TAG_TRUE = 6;
const TAG_NAMED = 128;

/** FROZEN. Stands for the length of a text that is the same as that of the statement before. */
const SAME_TEXT = 0xffff_ffff;

const HEADER_BYTES = 28;
const textEncoder = new TextEncoder();

/** The reused buffer. Shrinks back to this size after an unusually large command. */
const BUFFER_BYTES = 256 * 1024;
let buffer = new Uint8Array(BUFFER_BYTES);
let view = viewOf(buffer);
let position = 0;

function putStamp(target: DataView, stamp: CommandStamp): void {
  setU64(target, 4, stamp.timeMs);
  target.setBigUint64(12, stamp.seed, true);
  setU64(target, 20, stamp.steps);
}

/** A copy of an encoded command with another stamp. @throws SQL_COMMAND_FORMAT if it is too short for one */
export function stampCommand(command: Uint8Array, stamp: CommandStamp): Uint8Array {
  if (command.length < HEADER_BYTES) throw new PumiceError("SQL_COMMAND_FORMAT", { reason: "shorter than a command's header" });
  const stamped = copyBytes(command);
  putStamp(viewOf(stamped), stamp);
  return stamped;
}

/** The bytes of `command`: the caller's, though a small one shares its ArrayBuffer with others (do not transfer it). @throws AssertionError for a value outside its range (an integer beyond int64, a chunk too large). */
export function encodeCommand(command: Command): Uint8Array {
  position = 0;
  writeHeader(command);
  switch (command.kind) {
    case "execute":
    case "request":
      writeStatements(command.statements);
      break;
    case "load-chunk":
      assert(command.bytes.length <= LOAD_CHUNK_BYTES_MAX, "a load chunk is within its limit");
      writeU64(command.load);
      writeU32(command.number);
      writeBytes(command.bytes);
      break;
    case "load-commit":
      writeU64(command.load);
      writeU32(command.chunkCount);
      writeCount(command.sizeBytes);
      break;
    case "load-abort":
      writeU64(command.load);
      break;
  }
  const bytes = copyOut();
  if (buffer.length > BUFFER_BYTES) {
    buffer = new Uint8Array(BUFFER_BYTES);
    view = viewOf(buffer);
  }
  return bytes;
}

/** Small commands are cut from one piece of memory, which is never used again: an allocation of their own costs more than they do. */
const SLAB_BYTES = 64 * 1024;
const FROM_SLAB_BYTES_MAX = 4 * 1024;
let slab = new Uint8Array(SLAB_BYTES);
let slabUsed = 0;

/** What has been written, in memory that nothing writes again. */
function copyOut(): Uint8Array {
  if (position > FROM_SLAB_BYTES_MAX) return copyBytes(buffer, 0, position);
  if (slabUsed + position > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  const bytes = slab.subarray(slabUsed, slabUsed + position);
  bytes.set(buffer.subarray(0, position));
  slabUsed += position;
  return bytes;
}

function writeHeader(command: Command): void {
  const isSql = command.kind === "execute" || command.kind === "request";
  reserve(HEADER_BYTES);
  buffer[0] = COMMAND_VERSION;
  buffer[1] = KINDS[command.kind];
  buffer[2] = isSql ? flagsOf(command) : 0;
  buffer[3] = 0;
  putStamp(view, command);
  position = HEADER_BYTES;
  if (isSql && command.requestId !== undefined) {
    writeU64(command.requestId.session);
    writeU64(command.requestId.sequence);
  }
}

function flagsOf(command: SqlCommand): number {
  assert(command.script !== true || command.kind === "execute", "a script is an execute command");
  let flags = 0;
  if (command.transaction === true) flags |= FLAG_TRANSACTION;
  if (command.script === true) flags |= FLAG_SCRIPT;
  if (command.requestId !== undefined) flags |= FLAG_REQUEST_ID;
  if (command.format?.associative === true) flags |= FLAG_ASSOCIATIVE;
  if (command.format?.blobArray === true) flags |= FLAG_BLOB_ARRAY;
  if (command.format?.qualifyColumns === true) flags |= FLAG_QUALIFY_COLUMNS;
  return flags;
}

function writeStatements(statements: readonly Statement[]): void {
  writeU32(statements.length);
  let before: string | undefined;
  for (const { sql, params } of statements) {
    if (sql === before) writeU32(SAME_TEXT);
    else writeText(sql);
    before = sql;
    if (params === undefined) {
      writeU32(0);
      continue;
    }
    writeU32(params.length);
    for (const param of params) {
      if (isNamedParam(param)) writeValue(param.value, param.name);
      else writeValue(param, undefined);
    }
  }
}

function writeValue(value: SqlValue, name: string | undefined): void {
  const tag = tagOf(value);
  writeU8(name === undefined ? tag : tag | TAG_NAMED);
  if (name !== undefined) writeText(name);
  if (typeof value === "string") writeText(value);
  else if (typeof value === "bigint") {
    assert(BigInt.asIntN(64, value) === value, "an integer parameter fits in int64");
    reserve(8);
    view.setBigInt64(position, value, true);
    position += 8;
  } else if (typeof value === "number") {
    reserve(8);
    view.setFloat64(position, value, true);
    position += 8;
  } else if (value instanceof Uint8Array) writeBytes(value);
}

function tagOf(value: SqlValue): number {
  if (typeof value === "string") return TAG_TEXT;
  if (typeof value === "bigint") return TAG_INTEGER;
  if (typeof value === "number") return TAG_REAL;
  if (typeof value === "boolean") return value ? TAG_TRUE : TAG_FALSE;
  return value === null ? TAG_NULL : TAG_BLOB;
}

function reserve(count: number): void {
  if (position + count <= buffer.length) return;
  const larger = new Uint8Array(Math.max(buffer.length * 2, position + count));
  larger.set(buffer.subarray(0, position));
  buffer = larger;
  view = viewOf(buffer);
}

function writeU8(value: number): void {
  reserve(1);
  buffer[position++] = value;
}

function writeU32(value: number): void {
  reserve(4);
  view.setUint32(position, value, true);
  position += 4;
}

function writeU64(value: bigint): void {
  reserve(8);
  view.setBigUint64(position, value, true);
  position += 8;
}

function writeCount(value: number): void {
  reserve(8);
  setU64(view, position, value);
  position += 8;
}

function writeBytes(bytes: Uint8Array): void {
  writeU32(bytes.length);
  reserve(bytes.length);
  buffer.set(bytes, position);
  position += bytes.length;
}

/** Length and UTF-8. A UTF-16 code unit takes at most 3 bytes. */
function writeText(text: string): void {
  reserve(4 + text.length * 3);
  if (text.length <= ASCII_CHARS_MAX && writeAscii(text)) return;
  const { written } = textEncoder.encodeInto(text, buffer.subarray(position + 4));
  view.setUint32(position, written, true);
  position += 4 + written;
}

/** Short texts are written here: the way to the encoder costs more. */
const ASCII_CHARS_MAX = 128;

/** False, with nothing taken, if the text is not ASCII. The caller has reserved the space. */
function writeAscii(text: string): boolean {
  const start = position + 4;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return false;
    buffer[start + i] = code;
  }
  view.setUint32(position, text.length, true);
  position = start + text.length;
  return true;
}

/** The command of `bytes`. Byte values share their memory. @throws SQL_COMMAND_FORMAT if they are no command of a version known here. */
export function decodeCommand(bytes: Uint8Array): Command | RetiredCommand {
  return new CommandReader(bytes).command();
}

const sqlTexts = new TextCache();

/** Unit: bytes. */
const SHORT_BYTES_MAX = 16;

class CommandReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  command(): Command | RetiredCommand {
    const version = this.#u8();
    if (version !== COMMAND_VERSION) throw new PumiceError("SQL_COMMAND_FORMAT", { version, known: COMMAND_VERSION });
    const kind = this.#u8();
    const flags = this.#u8();
    if (this.#u8() !== 0) this.#fail();
    const stamp = { timeMs: this.#count(), seed: this.#u64(), steps: this.#count() };
    const command = this.#body(kind, flags, stamp);
    if (this.#position !== this.#bytes.length) this.#fail();
    return command;
  }

  #body(kind: number, flags: number, stamp: { timeMs: number; seed: bigint; steps: number }): Command | RetiredCommand {
    switch (kind) {
      case KINDS.execute:
        return this.#sql("execute", flags, stamp);
      case KINDS.request:
        return this.#sql("request", flags, stamp);
      case KIND_RETIRED_QUERY:
        this.#sql("request", flags, stamp);
        return { kind: "retired", ...stamp };
      case KINDS["load-chunk"]:
        return { kind: "load-chunk", ...stamp, load: this.#u64(), number: this.#u32(), bytes: this.#blob() };
      case KINDS["load-commit"]:
        return { kind: "load-commit", ...stamp, load: this.#u64(), chunkCount: this.#u32(), sizeBytes: this.#count() };
      case KINDS["load-abort"]:
        return { kind: "load-abort", ...stamp, load: this.#u64() };
      default:
        return this.#fail();
    }
  }

  #sql(kind: SqlCommand["kind"], flags: number, stamp: { timeMs: number; seed: bigint; steps: number }): SqlCommand {
    if ((flags & ~FLAGS_ALL) !== 0) this.#fail();
    return {
      kind,
      timeMs: stamp.timeMs,
      seed: stamp.seed,
      steps: stamp.steps,
      transaction: (flags & FLAG_TRANSACTION) !== 0,
      script: (flags & FLAG_SCRIPT) !== 0,
      format: {
        associative: (flags & FLAG_ASSOCIATIVE) !== 0,
        blobArray: (flags & FLAG_BLOB_ARRAY) !== 0,
        qualifyColumns: (flags & FLAG_QUALIFY_COLUMNS) !== 0,
      },
      requestId: (flags & FLAG_REQUEST_ID) !== 0 ? { session: this.#u64(), sequence: this.#u64() } : undefined,
      statements: this.#statements(),
    };
  }

  #statements(): Statement[] {
    const count = this.#u32();
    const statements: Statement[] = [];
    let before: string | undefined;
    for (let i = 0; i < count; i++) {
      const sql = this.#textUnless(before);
      before = sql;
      const paramCount = this.#u32();
      const params: SqlParam[] = [];
      for (let j = 0; j < paramCount; j++) params.push(this.#param());
      statements.push({ sql, params });
    }
    return statements;
  }

  /** A text, or `before` if the bytes say that it is the same. */
  #textUnless(before: string | undefined): string {
    const start = this.#position;
    if (this.#u32() === SAME_TEXT) return before ?? this.#fail();
    this.#position = start;
    return this.#sqlText();
  }

  #param(): SqlParam {
    const tag = this.#u8();
    if ((tag & TAG_NAMED) === 0) return this.#value(tag);
    return { name: this.#text(), value: this.#value(tag & ~TAG_NAMED) };
  }

  #value(tag: number): SqlValue {
    switch (tag) {
      case TAG_NULL:
        return null;
      case TAG_INTEGER:
        return this.#view.getBigInt64(this.#take(8), true);
      case TAG_REAL:
        return this.#view.getFloat64(this.#take(8), true);
      case TAG_TEXT:
        return this.#text();
      case TAG_BLOB:
        return this.#blob();
      case TAG_FALSE:
        return false;
      case TAG_TRUE:
        return true;
      default:
        return this.#fail();
    }
  }

  /** Moves past `count` bytes; where they begin. */
  #take(count: number): number {
    const start = this.#position;
    if (count > this.#bytes.length - start) this.#fail();
    this.#position = start + count;
    return start;
  }

  #u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  #u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  #count(): number {
    return getU64(this.#view, this.#take(8)) ?? this.#fail();
  }

  #blob(): Uint8Array {
    const length = this.#u32();
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  #sqlText(): string {
    const start = this.#position;
    const bytes = this.#blob();
    const known = sqlTexts.get(bytes);
    if (known !== undefined) return known;
    this.#position = start;
    const text = this.#text();
    sqlTexts.set(bytes, text);
    return text;
  }

  #text(): string {
    const length = this.#u32();
    const start = this.#take(length);
    return this.#shortText(start, length) ?? this.#longText(start, length);
  }

  /** Short ASCII, of which most parameters are: the way to the decoder costs more. */
  #shortText(start: number, length: number): string | undefined {
    if (length > SHORT_BYTES_MAX) return undefined;
    let text = "";
    for (let i = start; i < start + length; i++) {
      const code = this.#bytes[i] as number;
      if (code > 127) return undefined;
      text += String.fromCharCode(code);
    }
    return text;
  }

  #longText(start: number, length: number): string {
    try {
      return fromUtf8(this.#bytes.subarray(start, start + length));
    } catch (error) {
      if (error instanceof TypeError) return this.#fail();
      throw error;
    }
  }

  #fail(): never {
    throw new PumiceError("SQL_COMMAND_FORMAT", { position: this.#position, length: this.#bytes.length });
  }
}
