/** The one way by which this room says that stored bytes are not what they should be. */
import { PumiceError } from "../../base/mod.ts";

/** What was read, where, and why it cannot be right. */
export interface Damage {
  /** Key of the object. */
  readonly object: string;
  /** What is wrong, in a few constant words. */
  readonly what: string;
  /** Byte offset in the object, where known. */
  readonly offset?: number | undefined;
  readonly expected?: string | number | undefined;
  readonly found?: string | number | undefined;
}

/** An LSM_CORRUPT error that names object, offset, expected and found. */
export function damaged(damage: Damage): PumiceError {
  return new PumiceError("LSM_CORRUPT", { ...damage });
}
