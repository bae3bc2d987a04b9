/**
 * What must hold in every run: invariants 1 to 19 of src/raft/DESIGN.md. The oracle sees every node and every
 * disk at once, which no node can; it is told what happens, and stops the run at the first contradiction.
 */
import { assert } from "../../base/mod.ts";
import { isJoint, configurationOf, type ConfState, type Entry, type Message } from "../../raft/mod.ts";
import type { LogBatch, RaftDriver } from "../../replica/mod.ts";
import type { SimDisk } from "./disk.ts";
import { proposalId } from "./hash.ts";

/** A run broke an invariant. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
  readonly invariant: number;

  constructor(invariant: number, detail: string) {
    super(`invariant ${invariant}: ${detail}`);
    this.invariant = invariant;
  }
}

/** One node, as the oracle sees it. */
export interface Observed {
  readonly id: number;
  readonly incarnation: number;
  readonly disk: SimDisk;
  readonly driver: RaftDriver | undefined;
}

/** What a leader may have under way. */
export interface BoundLimits {
  readonly messages: number;
  readonly bytes: number;
  readonly uncommitted: number;
  /** The largest single message or proposal. */
  readonly largest: number;
}

/** What was last seen of a driver. */
interface Seen {
  incarnation: number;
  commit: number;
  leaderTerm: number;
  leaderLast: number;
  leaderLastTerm: number;
}

/** Sees all, and objects. */
export class RaftOracle {
  /** The highest index that any node reported committed. */
  maxCommit = 0;
  /** What a client knows to be in the state: writes acknowledged, reads answered. */
  floor = 0;
  /** Leaders elected, in all terms. */
  elections = 0;
  readonly #nodes: ReadonlyMap<number, Observed>;
  readonly #leaders = new Map<number, string>();
  /** By term and voter, the candidate of a durable vote. */
  readonly #votes = new Map<number, Map<number, number>>();
  readonly #chains = new Map<number, number>();
  /** The term of each committed entry. */
  readonly #committed: number[] = [];
  readonly #applied: number[] = [];
  readonly #durable = new Map<number, { term: number; vote: number }>();
  readonly #durableCommits = new Map<number, { readonly incarnation: number; readonly commit: number }>();
  readonly #seen = new Map<number, Seen>();
  readonly #refused = new Set<number>();

  constructor(nodes: ReadonlyMap<number, Observed>) {
    this.#nodes = nodes;
  }

  /** Invariants 3, 4 and 25: nothing leaves that a crash could take back. */
  sent(node: Observed, message: Message): void {
    const { term, vote } = node.disk.hardState;
    const { type } = message;
    const asksAhead = type === "MsgPreVote" || (type === "MsgPreVoteResp" && !message.reject);
    if (message.term > term + (asksAhead ? Infinity : 0))
      fail(3, `node ${node.id} sends ${type} of term ${message.term}, durable term ${term}`);
    if (message.reject) return;
    // A vote that a later term overtook before it was stored is as good as stored: no other can follow it in its term.
    if (type === "MsgVoteResp" && term > message.term) this.#noteVote(message.term, node.id, message.to);
    if (type === "MsgVoteResp" && this.#votes.get(message.term)?.get(node.id) !== message.to) {
      fail(4, `node ${node.id} grants ${message.to} a vote in term ${message.term}; durable: term ${term}, vote ${vote}`);
    }
    // Once a later term is durable, an acknowledgement of an earlier one is as good as one that was long on its way.
    if (type === "MsgAppResp" && message.term === term && message.index > node.disk.lastIndex) {
      fail(4, `node ${node.id} acknowledges index ${message.index}, durable last index ${node.disk.lastIndex}`);
    }
  }

  /** Invariants 2, 5 and 12: a batch reached the disk. */
  written(node: Observed, batch: LogBatch): void {
    const { term, vote } = node.disk.hardState;
    const before = this.#durable.get(node.id) ?? { term: 0, vote: 0 };
    if (term < before.term || (term === before.term && before.vote !== 0 && vote !== before.vote)) {
      fail(2, `node ${node.id} had term ${before.term}, vote ${before.vote} on disk, now term ${term}, vote ${vote}`);
    }
    if (term !== before.term || vote !== before.vote) this.#durable.set(node.id, { term, vote });
    if (vote !== 0) this.#noteVote(term, node.id, vote);
    if (batch.hardState !== undefined) {
      const known = this.#durableCommits.get(node.id);
      const { commit } = batch.hardState;
      if (known?.incarnation === node.incarnation && commit < known.commit)
        fail(2, `node ${node.id}'s commit index on disk went from ${known.commit} to ${commit}`);
      this.#durableCommits.set(node.id, { incarnation: node.incarnation, commit });
    }
    if (batch.entries.length > 0) this.#checkLog(node, batch.entries);
  }

  /** Invariants 1, 6, 13 and 14: a node became leader. */
  elected(node: Observed, driver: RaftDriver): void {
    this.elections++;
    const { term } = driver;
    const name = `${node.id}.${node.incarnation}`;
    const other = this.#leaders.get(term);
    if (other !== undefined && other !== name) fail(1, `nodes ${other} and ${name} both lead term ${term}`);
    this.#leaders.set(term, name);
    const last = this.#committed.length;
    const expected = this.#committed[last - 1];
    // By log matching, the last committed entry stands for all before it.
    if (expected !== undefined && driver.termAt(last) !== expected && !this.#isCompactedAt(driver, last)) {
      fail(6, `leader ${name} of term ${term} lacks the committed entry ${last} of term ${expected}`);
    }
    const votes = this.#votes.get(term);
    const { members } = driver;
    this.#requireQuorum(13, members, `leader ${name} of term ${term}`, (id) => votes?.get(id) === node.id);
    if (members.learners.includes(node.id)) fail(14, `learner ${name} leads`);
  }

  /** Invariants 8 to 11: what changed in a node since it was last looked at. */
  observe(node: Observed): void {
    const { driver } = node;
    if (driver === undefined) return;
    let seen = this.#seen.get(node.id);
    const commit = driver.commitIndex;
    if (seen === undefined || seen.incarnation !== node.incarnation) {
      seen = { incarnation: node.incarnation, commit, leaderTerm: 0, leaderLast: 0, leaderLastTerm: 0 };
      this.#seen.set(node.id, seen);
    }
    if (commit < seen.commit) fail(8, `node ${node.id}'s commit index went from ${seen.commit} to ${commit}`);
    if (driver.appliedIndex > commit || commit > driver.lastIndex) {
      fail(8, `node ${node.id}: applied ${driver.appliedIndex}, committed ${commit}, last ${driver.lastIndex}`);
    }
    const isLeader = driver.role === "leader";
    if (commit > seen.commit) this.#checkCommit(driver, seen.commit, isLeader && seen.leaderTerm === driver.term);
    seen.commit = commit;
    if (isLeader) this.#checkLeaderLog(node, driver, seen);
    else seen.leaderTerm = 0;
  }

  /** Invariants 7 and 19: a state machine applied an entry and became `chain`. */
  appliedEntry(node: Observed, entry: Entry, chain: number): void {
    const known = this.#applied[entry.index];
    if (known !== undefined && known !== chain) fail(7, `node ${node.id} applied something else at index ${entry.index}`);
    this.#applied[entry.index] = chain;
    if (entry.type === "normal" && entry.data.length >= 4 && this.#refused.has(proposalId(entry.data))) {
      fail(19, `node ${node.id} applied proposal ${proposalId(entry.data)}, which was refused`);
    }
  }

  /** What a group begins with is committed. */
  founded(entries: readonly Entry[]): void {
    for (const { index, term } of entries) this.#committed[index - 1] = term;
    this.maxCommit = entries.length;
  }

  refusedProposal(id: number): void {
    this.#refused.add(id);
  }

  /** A client was told that the entry at `index` is applied. */
  acknowledged(index: number): void {
    this.floor = Math.max(this.floor, index);
  }

  /** Invariant 15: a read that began when the floor was `floor` may be answered at `index`. */
  readable(node: Observed, index: number, floor: number): void {
    if (index < floor) fail(15, `node ${node.id} answers a read at index ${index}; ${floor} was acknowledged before it began`);
    this.floor = Math.max(this.floor, index);
  }

  /** Invariant 17: windows and uncommitted payload stay within their bounds, and one message or proposal. */
  checkBounds(node: Observed, limits: BoundLimits): void {
    const status = node.driver?.status();
    if (status === undefined) return;
    for (const member of status.members) {
      if (member.inflightMessages > limits.messages || member.inflightBytes > limits.bytes + limits.largest) {
        fail(17, `node ${node.id} has ${member.inflightMessages} messages, ${member.inflightBytes} bytes on their way to ${member.id}`);
      }
    }
    if (status.uncommittedBytes > limits.uncommitted + limits.largest) fail(17, `node ${node.id} took in ${status.uncommittedBytes} bytes`);
  }

  /** Invariant 16: with pre-vote, a node that is cut off from everybody starts no election but the one that was under way. */
  checkIsolated(node: Observed, termBefore: number): void {
    const { driver } = node;
    if (driver === undefined || driver.members.voters.length <= 1) return;
    if (driver.term > termBefore + 1) fail(16, `node ${node.id}, cut off in term ${termBefore}, is in term ${driver.term}`);
  }

  #noteVote(term: number, voter: number, vote: number): void {
    let votes = this.#votes.get(term);
    if (votes === undefined) this.#votes.set(term, (votes = new Map()));
    const before = votes.get(voter);
    if (before !== undefined && before !== vote) fail(2, `node ${voter} voted for ${before} and ${vote} in term ${term}`);
    votes.set(voter, vote);
  }

  #checkLog(node: Observed, entries: readonly Entry[]): void {
    const { disk } = node;
    let hasChange = false;
    for (const entry of entries) {
      if (entry.index > disk.lastIndex) break;
      const chain = disk.chainAt(entry.index);
      const key = entry.term * INDEX_RANGE + entry.index;
      const known = this.#chains.get(key);
      if (known === undefined) this.#chains.set(key, chain);
      else if (known !== chain) fail(5, `node ${node.id}'s log differs up to index ${entry.index}, term ${entry.term}`);
      hasChange ||= entry.type === "config";
    }
    if (!hasChange) return;
    let uncommittedChanges = 0;
    for (let index = Math.max(this.#committed.length + 1, disk.window.firstIndex); index <= disk.lastIndex; index++) {
      if (disk.window.at(index)?.type === "config") uncommittedChanges++;
    }
    if (uncommittedChanges > 1) fail(12, `node ${node.id}'s log has ${uncommittedChanges} uncommitted membership changes`);
  }

  #checkCommit(driver: RaftDriver, before: number, isByCounting: boolean): void {
    const { commitIndex } = driver;
    for (let index = before + 1; index <= commitIndex; index++) {
      const term = driver.termAt(index);
      if (term === undefined) continue;
      const known = this.#committed[index - 1];
      if (known !== undefined && known !== term) fail(7, `index ${index} is committed with terms ${known} and ${term}`);
      this.#committed[index - 1] = term;
    }
    this.maxCommit = Math.max(this.maxCommit, commitIndex);
    if (!isByCounting) return;
    const term = driver.termAt(commitIndex);
    if (term !== driver.term) fail(10, `a leader of term ${driver.term} commits index ${commitIndex} of term ${String(term)}`);
  }

  /** Invariant 9, at the moment of the decision: `members` are those that the leader counted. */
  decided(driver: RaftDriver, index: number, members: ConfState): void {
    const term = driver.termAt(index);
    this.#requireQuorum(9, members, `commit of index ${index}`, (id) => {
      const disk = this.#nodes.get(id)?.disk;
      return disk !== undefined && (disk.compacted.index >= index || disk.termAt(index) === term);
    });
  }

  #requireQuorum(invariant: number, members: ConfState, what: string, has: (id: number) => boolean): void {
    const config = configurationOf(members);
    for (const half of isJoint(config) ? [config.incoming, config.outgoing] : [config.incoming]) {
      const count = half.filter(has).length;
      if (count * 2 <= half.length) fail(invariant, `${what} has ${count} of the voters ${half.join(" ")}`);
    }
  }

  #checkLeaderLog(node: Observed, driver: RaftDriver, seen: Seen): void {
    const { lastIndex, term } = driver;
    if (seen.leaderTerm === term) {
      const kept = driver.termAt(seen.leaderLast);
      if (lastIndex < seen.leaderLast || (kept !== undefined && kept !== seen.leaderLastTerm)) {
        fail(11, `leader ${node.id} of term ${term} had entries up to ${seen.leaderLast}, now up to ${lastIndex}`);
      }
    }
    seen.leaderTerm = term;
    seen.leaderLast = lastIndex;
    seen.leaderLastTerm = driver.termAt(lastIndex) ?? 0;
  }

  #isCompactedAt(driver: RaftDriver, index: number): boolean {
    return driver.termAt(index) === undefined && index <= driver.commitIndex;
  }
}

/** Indexes of a run stay far below this. */
const INDEX_RANGE = 0x100_0000;

function fail(invariant: number, detail: string): never {
  assert(invariant > 0, "invariants are numbered from 1");
  throw new InvariantViolation(invariant, detail);
}
