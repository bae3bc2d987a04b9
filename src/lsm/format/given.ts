/** What a program's own functions give: a merge operator, a transformer of blocks, a filter of compaction. They may give anything. */
import { copyBytes, PumiceError } from "../../base/mod.ts";
import { isBytes } from "./row.ts";

/** What `value` is, for the error that refuses it. If it is a promise, its failure is handled here: it must not end the process as one that nobody handles. */
export function refusedValue(value: unknown): string {
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  if (!("then" in value) || typeof value.then !== "function") return Object.prototype.toString.call(value).slice(8, -1);
  void Promise.resolve(value).catch(() => undefined);
  return "promise";
}

/** A copy of the bytes that a function gave: it may give the same ones again. @throws LSM_INVALID if they are no bytes */
export function givenBytes(value: unknown, what: string): Uint8Array {
  if (isBytes(value)) return copyBytes(value);
  throw new PumiceError("LSM_INVALID", { what: `${what} gave no bytes`, found: refusedValue(value) });
}
