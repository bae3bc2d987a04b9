/** Errors over threads: a structured clone keeps no class, so code and details cross, and the error is made again on the other side. */
import { isPumiceError, PumiceError, type ErrorCode, type ErrorDetails } from "./errors.ts";

/** An error as it crosses. */
export interface PackedError {
  /** Undefined: the error was none of the table, so it is a bug of ours. */
  readonly code: ErrorCode | undefined;
  /** For an error without a code: its text with the stack. */
  readonly message: string;
  readonly details: ErrorDetails;
}

/** The error without its class. Its cause stays behind. */
export function packError(error: unknown): PackedError {
  if (isPumiceError(error)) return { code: error.code, message: error.message, details: error.details };
  return { code: undefined, message: error instanceof Error ? (error.stack ?? error.message) : String(error), details: {} };
}

/** The error as it was on the other thread; one without a code is WORKER_FAILED. */
export function unpackError(packed: PackedError): PumiceError {
  if (packed.code === undefined) return new PumiceError("WORKER_FAILED", { reason: packed.message });
  return new PumiceError(packed.code, packed.details);
}
