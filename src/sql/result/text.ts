/**
 * JSON text under construction. Small texts stay one string; large ones move to bytes, so that a result of a gigabyte does not need a
 * JavaScript string of that size, and stop at a limit.
 */
import { concat } from "../../base/mod.ts";
import { type ResultText, TEXT_CHARS_MAX } from "./results.ts";

const encoder = new TextEncoder();

/** Thrown by `add` when the text is longer than allowed. */
export class TextTooLong extends Error {
  override readonly name = "TextTooLong";
}

/** True for a text beyond its limit, and for a single value whose JSON is longer than a JavaScript string can be. */
export function isTooLong(error: unknown): boolean {
  return error instanceof TextTooLong || error instanceof RangeError;
}

/** Where a text is to be cut back to. */
export interface TextMark {
  readonly parts: number;
  readonly bytes: number;
  readonly chars: number;
}

/** True if nothing lies between the two. */
export function isSameMark(one: TextMark, other: TextMark): boolean {
  return one.bytes === other.bytes && one.chars === other.chars;
}

/** A text that grows at its end. */
export class TextBuffer {
  #pending = "";
  #parts: Uint8Array[] = [];
  #bytes = 0;
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** @throws TextTooLong */
  add(text: string): void {
    this.#pending += text;
    if (this.#pending.length > TEXT_CHARS_MAX) this.#flush();
  }

  get isEmpty(): boolean {
    return this.#bytes === 0 && this.#pending === "";
  }

  /** Moves what is pending to bytes, so that a mark is the number of parts. */
  mark(): TextMark {
    return { parts: this.#parts.length, bytes: this.#bytes, chars: this.#pending.length };
  }

  /** Forgets what was added since the mark. Everything pending at the mark must still be pending or be a whole part. */
  cutBack(mark: TextMark): void {
    if (this.#parts.length === mark.parts) {
      this.#pending = this.#pending.slice(0, mark.chars);
      return;
    }
    // The part after the mark begins with what was pending then.
    const part = this.#parts[mark.parts] as Uint8Array;
    this.#pending = decoder.decode(part).slice(0, mark.chars);
    this.#parts.length = mark.parts;
    this.#bytes = mark.bytes;
  }

  #flush(): void {
    const part = encoder.encode(this.#pending);
    if (this.#bytes + part.length > this.#bytesMax) throw new TextTooLong();
    this.#parts.push(part);
    this.#bytes += part.length;
    this.#pending = "";
  }

  /** The text. A string if it is short, else bytes in a buffer of their own. @throws TextTooLong */
  finish(): ResultText {
    if (this.#parts.length === 0 && this.#pending.length <= this.#bytesMax / 3) return this.#pending;
    this.#flush();
    return concat(this.#parts);
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
