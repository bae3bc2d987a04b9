/** The bytes of a file as text in pieces. Bytes that are no UTF-8 come out marked, line by line. */
import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { NOT_UTF8 } from "./record.ts";

const CHUNK_BYTES = 256 * 1024;

/** Text that ends at byte `bytesRead` of the file. */
export interface Piece {
  readonly text: string;
  readonly bytesRead: number;
}

/** The text of the file at `path`, in order and without a byte order mark. Memory: one piece. */
export async function* readPieces(path: string): AsyncGenerator<Piece> {
  let rest: Buffer = Buffer.alloc(0);
  let bytesRead = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const end = bytes.length - incompleteTail(bytes);
    rest = bytes.subarray(end);
    const isFirst = bytesRead === 0;
    bytesRead += chunk.length;
    const text = decode(bytes.subarray(0, end));
    yield { text: isFirst && text.startsWith("\uFEFF") ? text.slice(1) : text, bytesRead };
  }
  if (rest.length > 0) yield { text: decode(rest), bytesRead };
}

/** How many bytes at the end begin a character whose other bytes are yet to come. */
function incompleteTail(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}

function decode(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString("utf8");
  let text = "";
  for (let start = 0; start < bytes.length;) {
    const lineBreak = bytes.indexOf(10, start);
    const end = lineBreak === -1 ? bytes.length : lineBreak + 1;
    const line = bytes.subarray(start, end);
    text += isUtf8(line) ? line.toString("utf8") : line.toString("utf8").replaceAll("\uFFFD", NOT_UTF8);
    start = end;
  }
  return text;
}
