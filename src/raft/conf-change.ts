/**
 * Membership changes, and their bytes in the log. A change of nothing, with automatic transition, leaves a joint
 * configuration; its encoding is empty.
 *
 * Frame: version u8 = 1 | transition u8 | count u16 LE | count times (kind u8, node id u64 LE) | context, to the end.
 */
import { assert, EMPTY_BYTES, getU64, setU64, viewOf } from "../base/mod.ts";

/** What happens to one node. "update" changes nothing: it carries a context through the log. */
export type ConfChangeKind = "add-voter" | "add-learner" | "remove" | "update";

/**
 * How a joint configuration is entered and left. auto: only if more than one voter changes, and left by the leader;
 * implicit: always, and left by the leader; explicit: always, and left by a change of nothing.
 */
export type ConfChangeTransition = "auto" | "implicit" | "explicit";

/** One node's change. Node 0 is ignored. */
export interface ConfChangeStep {
  readonly kind: ConfChangeKind;
  readonly nodeId: number;
}

/** A membership change. `context` is the host's: an address, a name. */
export interface ConfChange {
  readonly transition: ConfChangeTransition;
  readonly changes: readonly ConfChangeStep[];
  readonly context: Uint8Array;
}

/** The change that leaves a joint configuration. */
export const LEAVE_JOINT: ConfChange = { transition: "auto", changes: [], context: EMPTY_BYTES };

/** FROZEN: their positions are on disk. */
const KINDS: readonly ConfChangeKind[] = ["add-voter", "add-learner", "remove", "update"];
/** FROZEN: their positions are on disk. */
const TRANSITIONS: readonly ConfChangeTransition[] = ["auto", "implicit", "explicit"];

const VERSION = 1;
const HEADER_BYTES = 4;
const STEP_BYTES = 9;
const MAX_CHANGES = 0xffff;

/** True if the change leaves a joint configuration. */
export function leavesJoint(change: ConfChange): boolean {
  return change.transition === "auto" && change.changes.length === 0;
}

/** Whether the change enters a joint configuration, and whether the leader leaves that by itself. */
export function entersJoint(change: ConfChange): { readonly autoLeave: boolean } | undefined {
  if (change.transition === "auto" && change.changes.length <= 1) return undefined;
  return { autoLeave: change.transition !== "explicit" };
}

/** The bytes of a change. */
export function encodeConfChange(change: ConfChange): Uint8Array {
  if (leavesJoint(change) && change.context.length === 0) return EMPTY_BYTES;
  assert(change.changes.length <= MAX_CHANGES, "a membership change has at most 65535 steps");
  const bytes = new Uint8Array(HEADER_BYTES + change.changes.length * STEP_BYTES + change.context.length);
  const view = viewOf(bytes);
  view.setUint8(0, VERSION);
  view.setUint8(1, TRANSITIONS.indexOf(change.transition));
  view.setUint16(2, change.changes.length, true);
  let offset = HEADER_BYTES;
  for (const step of change.changes) {
    view.setUint8(offset, KINDS.indexOf(step.kind));
    setU64(view, offset + 1, step.nodeId);
    offset += STEP_BYTES;
  }
  bytes.set(change.context, offset);
  return bytes;
}

/** The change in `bytes`; undefined if they are none. `context` shares the memory of `bytes`. */
export function decodeConfChange(bytes: Uint8Array): ConfChange | undefined {
  if (bytes.length === 0) return LEAVE_JOINT;
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  const transition = TRANSITIONS[view.getUint8(1)];
  const count = view.getUint16(2, true);
  const end = HEADER_BYTES + count * STEP_BYTES;
  if (view.getUint8(0) !== VERSION || transition === undefined || end > bytes.length) return undefined;
  const changes: ConfChangeStep[] = [];
  for (let offset = HEADER_BYTES; offset < end; offset += STEP_BYTES) {
    const kind = KINDS[view.getUint8(offset)];
    const nodeId = getU64(view, offset + 1);
    if (kind === undefined || nodeId === undefined) return undefined;
    changes.push({ kind, nodeId });
  }
  return { transition, changes, context: bytes.subarray(end) };
}
