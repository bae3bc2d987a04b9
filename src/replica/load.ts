/** A load cuts a SQLite file into entries of the log. Memory is bounded by a few pieces. */
import { concat, type Random } from "../base/mod.ts";
import { LOAD_CHUNK_BYTES_MAX, type LoadAbortCommand, type LoadChunkCommand, type LoadCommitCommand } from "../sql/mod.ts";
import type { WriteOutcome } from "./requests.ts";

/** A load's commands before they are stamped. */
export type LoadCommand =
  | Omit<LoadChunkCommand, "timeMs" | "seed" | "steps">
  | Omit<LoadCommitCommand, "timeMs" | "seed" | "steps">
  | Omit<LoadAbortCommand, "timeMs" | "seed" | "steps">;

/**
 * Sends `source`, a SQLite file, through the log by `propose` and replaces the whole database with it, or changes nothing.
 * The outcome is the commit's: an `error` says why the file was refused. @throws what `propose` or `source` throws.
 */
export async function loadThroughLog(
  source: AsyncIterable<Uint8Array>,
  random: Random,
  propose: (command: LoadCommand) => Promise<WriteOutcome>,
): Promise<WriteOutcome> {
  const load = random.u64();
  let number = 0;
  let sizeBytes = 0;
  try {
    for await (const bytes of inPieces(source, LOAD_CHUNK_BYTES_MAX)) {
      const outcome = await propose({ kind: "load-chunk", load, number, bytes });
      if (outcome.kind === "error") return outcome;
      number++;
      sizeBytes += bytes.length;
    }
    return await propose({ kind: "load-commit", load, chunkCount: number, sizeBytes });
  } catch (error) {
    // The pieces must not stay in the database. If this fails too, the next load clears them away.
    await propose({ kind: "load-abort", load }).catch(() => undefined);
    throw error;
  }
}

/** The same bytes in pieces of `size`, the last one shorter. */
async function* inPieces(source: AsyncIterable<Uint8Array>, size: number): AsyncIterable<Uint8Array> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (let bytes of source) {
    while (length + bytes.length >= size) {
      const taken = size - length;
      yield concat([...parts, bytes.subarray(0, taken)]);
      bytes = bytes.subarray(taken);
      parts = [];
      length = 0;
    }
    if (bytes.length > 0) {
      parts.push(bytes);
      length += bytes.length;
    }
  }
  if (length > 0) yield concat(parts);
}
