/**
 * Indents JSON as Go's `json.MarshalIndent` with four spaces: one member per line, `": "` after a key, and empty arrays and
 * objects kept as `[]` and `{}`. Works on bytes, for results come as bytes. The input is compact and valid.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const NEWLINE = 0x0a;
const SPACE = 0x20;
const INDENT = 4;

/** The indented form of the compact JSON in `json`. */
export function prettyJson(json: Uint8Array): Uint8Array {
  return new Indenter(json).run();
}

class Indenter {
  readonly #source: Uint8Array;
  #target: Uint8Array;
  #length = 0;
  #depth = 0;

  constructor(source: Uint8Array) {
    this.#source = source;
    this.#target = new Uint8Array(source.length * 2 + 64);
  }

  run(): Uint8Array {
    const source = this.#source;
    let i = 0;
    while (i < source.length) {
      const byte = source[i] as number;
      if (byte === QUOTE) {
        const end = stringEnd(source, i);
        this.#copy(i, end);
        i = end;
        continue;
      }
      i = this.#token(byte, i);
    }
    return this.#target.subarray(0, this.#length);
  }

  /** Writes the token at `i`, which is no string; the position after it. */
  #token(byte: number, i: number): number {
    switch (byte) {
      case OPEN_BRACE:
      case OPEN_BRACKET: {
        this.#put(byte);
        const next = this.#source[i + 1];
        if (next === CLOSE_BRACE || next === CLOSE_BRACKET) {
          this.#put(next);
          return i + 2;
        }
        this.#depth++;
        this.#newline();
        break;
      }
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        this.#depth--;
        this.#newline();
        this.#put(byte);
        break;
      case COMMA:
        this.#put(byte);
        this.#newline();
        break;
      case COLON:
        this.#put(byte);
        this.#put(SPACE);
        break;
      default:
        this.#put(byte);
    }
    return i + 1;
  }

  #newline(): void {
    const spaces = this.#depth * INDENT;
    this.#reserve(spaces + 1);
    this.#target[this.#length] = NEWLINE;
    this.#target.fill(SPACE, this.#length + 1, this.#length + 1 + spaces);
    this.#length += spaces + 1;
  }

  #put(byte: number): void {
    this.#reserve(1);
    this.#target[this.#length++] = byte;
  }

  #copy(start: number, end: number): void {
    this.#reserve(end - start);
    this.#target.set(this.#source.subarray(start, end), this.#length);
    this.#length += end - start;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#target.length) return;
    const larger = new Uint8Array((this.#length + count) * 2);
    larger.set(this.#target.subarray(0, this.#length));
    this.#target = larger;
  }
}

/** The position after the string that begins at `start`. */
function stringEnd(source: Uint8Array, start: number): number {
  let i = start + 1;
  while (i < source.length) {
    const byte = source[i] as number;
    if (byte === QUOTE) return i + 1;
    i += byte === BACKSLASH ? 2 : 1;
  }
  return source.length;
}
