/** Result texts across threads: short ones are cloned, long ones are moved. */
import { utf8 } from "../../base/mod.ts";
import { type ResultText, TEXT_CHARS_MAX } from "../result/results.ts";

/** `text` as it is posted; what is to be moved is added to `transfer`. */
export function moveText(text: ResultText, transfer: ArrayBuffer[]): ResultText {
  if (typeof text === "string" && text.length <= TEXT_CHARS_MAX) return text;
  const bytes = typeof text === "string" ? utf8(text) : text;
  // Always a buffer of its own: TextBuffer and utf8 share theirs with nobody.
  transfer.push(bytes.buffer as ArrayBuffer);
  return bytes;
}
