/**
 * Keys and values as text, reversibly: printable UTF-8 stands for itself, a backslash is doubled, `\t`, `\n` and `\r` are those, and any other
 * byte is `\xNN`. The same form is read from the command line. With `--hex`, plain hexadecimal both ways.
 */
import { fromUtf8, toHex, utf8 } from "../../base/mod.ts";

/** How keys and values are written and read. */
export interface TextForm {
  write(bytes: Uint8Array): string;
  /** Undefined if the text is not of this form. */
  read(text: string): Uint8Array | undefined;
}

/** The form of the header. */
export const ESCAPED: TextForm = {
  write(bytes) {
    let text: string;
    try {
      text = fromUtf8(bytes);
    } catch {
      return escapeBytes(bytes);
    }
    return text.replace(/[\\\p{C}\u2028\u2029]/gu, (c) => SHORT[c] ?? escapeBytes(utf8(c)));
  },
  read(text) {
    const bytes: number[] = [];
    // A backslash begins an escape; everything else is UTF-8.
    for (const [part] of text.matchAll(/\\(?:x[\da-fA-F]{2}|[\\tnr])|[^\\]+|\\/g)) {
      if (part.startsWith("\\x")) bytes.push(Number.parseInt(part.slice(2), 16));
      else if (part.length === 2 && part.startsWith("\\")) bytes.push(LETTERS[part.charAt(1)] as number);
      else if (part === "\\") return undefined;
      else bytes.push(...utf8(part));
    }
    return Uint8Array.from(bytes);
  },
};

/** Hexadecimal. */
export const HEX: TextForm = {
  write: toHex,
  read: (text) => (/^(?:[\da-f]{2})*$/i.test(text) ? new Uint8Array(Buffer.from(text, "hex")) : undefined),
};

const SHORT: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };
const LETTERS: Readonly<Record<string, number>> = { "\\": 0x5c, t: 0x09, n: 0x0a, r: 0x0d };

function escapeBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const c = String.fromCharCode(byte);
    text += SHORT[c] ?? (byte >= 0x20 && byte < 0x7f ? c : `\\x${byte.toString(16).padStart(2, "0")}`);
  }
  return text;
}
