/**
 * How a group begins: each of its first members starts with the same entries, which add them one by one. So a node that joins later
 * learns of the first members as of everything else: from the log, or from a snapshot.
 */
import { assert } from "../base/mod.ts";
import { encodeConfChange } from "./conf-change.ts";
import { membersAfter } from "./membership.ts";
import { EMPTY_CONF_STATE, type ConfState, type Entry, type HardState } from "./types.ts";

/** A first member. `context` is the host's: an address, a name. */
export interface Founder {
  readonly id: number;
  readonly isLearner?: boolean | undefined;
  readonly context: Uint8Array;
}

/** What every first member has in its log and its state machine before it starts for the first time. */
export interface BootstrapState {
  readonly hardState: HardState;
  readonly entries: readonly Entry[];
  readonly applied: number;
  readonly members: ConfState;
}

/** The term of the entries that nobody was elected for. */
const BOOTSTRAP_TERM = 1;

/** The beginning of a group. Every first member must be given the same founders, in the same order. */
export function bootstrapState(founders: readonly Founder[]): BootstrapState {
  assert(founders[0] !== undefined && founders[0].isLearner !== true, "a group begins with a voter");
  let members = EMPTY_CONF_STATE;
  const entries = founders.map(({ id, isLearner, context }, at): Entry => {
    const kind = isLearner === true ? "add-learner" : "add-voter";
    const data = encodeConfChange({ transition: "auto", changes: [{ kind, nodeId: id }], context });
    const entry: Entry = { index: at + 1, term: BOOTSTRAP_TERM, type: "config", data };
    members = membersAfter(members, entry);
    return entry;
  });
  return { hardState: { term: BOOTSTRAP_TERM, vote: 0, commit: entries.length }, entries, applied: entries.length, members };
}
