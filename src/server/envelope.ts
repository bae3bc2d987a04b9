/**
 * The answer of the endpoints under /db: one JSON object whose members stand in a fixed order: results (always), error, time,
 * sequence_number, raft_index. The results come as finished JSON, text or bytes, and are not touched.
 */
import { goSeconds, goString } from "./go-json.ts";
import { prettyJson } from "./pretty.ts";
import type { ResultText } from "../sql/mod.ts";

/** What one answer says. */
export interface Envelope {
  /** What stands between the brackets of `results`. */
  readonly results: ResultText;
  readonly error?: string | undefined;
  /** How long it took, if asked for. */
  readonly timeMs?: number | undefined;
  readonly sequenceNumber?: bigint | undefined;
  readonly raftIndex?: number | undefined;
  /** Something was written: the answer is never replaced by an error for lack of memory. Default false. */
  readonly isDone?: boolean | undefined;
}

const HEAD = '{"results":[';

/** Answers up to this many bytes are copied into one piece: cheaper than several writes. */
const JOIN_BYTES = 16 * 1024;

/** The parts of the answer, to be sent one after the other. */
export function encodeEnvelope(envelope: Envelope, pretty: boolean): readonly (string | Uint8Array)[] {
  const { results } = envelope;
  const tail = encodeTail(envelope);
  if (pretty) return [prettyJson(join(results, tail))];
  if (typeof results === "string") return [HEAD + results + tail];
  return results.length <= JOIN_BYTES ? [join(results, tail)] : [HEAD, results, tail];
}

function encodeTail(envelope: Envelope): string {
  let tail = "]";
  if (envelope.error !== undefined) tail += `,"error":${goString(envelope.error)}`;
  if (envelope.timeMs !== undefined) tail += `,"time":${goSeconds(envelope.timeMs)}`;
  if (envelope.sequenceNumber !== undefined) tail += `,"sequence_number":${String(envelope.sequenceNumber)}`;
  if (envelope.raftIndex !== undefined && envelope.raftIndex > 0) tail += `,"raft_index":${String(envelope.raftIndex)}`;
  return `${tail}}`;
}

function join(results: ResultText, tail: string): Uint8Array {
  if (typeof results === "string") return Buffer.from(HEAD + results + tail);
  const head = HEAD.length;
  const whole = Buffer.allocUnsafe(head + results.length + Buffer.byteLength(tail));
  whole.write(HEAD, 0, "latin1");
  whole.set(results, head);
  whole.write(tail, head + results.length);
  return whole;
}
