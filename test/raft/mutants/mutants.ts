/**
 * Planted bugs of the consensus core. M01 to M28 are mistakes in Raft itself; the others sit in what goes beyond the paper, and in the guards against
 * the hazards C1 to C11 of src/raft/DESIGN.md.
 */
import type { Patch, PlantedBug } from "../../support/planted-bugs.ts";

const raft = (file: string, find: string, replace: string): Patch => ({ file: `src/raft/${file}`, find, replace });
const driver = (find: string, replace: string): Patch => ({ file: "src/replica/consensus/driver.ts", find, replace });

/** All of them. */
export const MUTANTS: readonly PlantedBug[] = [
  {
    id: "M01",
    bug: "an entry of an old term is committed by counting",
    patches: [
      raft(
        "leader.ts",
        "if (index <= r.log.committed || !r.log.matchTerm(index, r.term)) return false;",
        "if (index <= r.log.committed) return false;",
      ),
    ],
  },
  { id: "M02", bug: "a node votes twice in a term", patches: [raft("election.ts", "(r.vote === 0 && r.lead === 0)", "r.lead === 0")] },
  {
    id: "M03",
    bug: "a vote does not look at the log",
    patches: [raft("election.ts", "if (canVote && r.log.isUpToDate(logTerm, index)) {", "if (canVote) {")],
  },
  {
    id: "M04",
    bug: "half is a majority",
    patches: [raft("quorum.ts", "return Math.floor(size / 2) + 1;", "return Math.max(1, Math.floor(size / 2));")],
  },
  {
    id: "M05",
    bug: "a heartbeat's commit index is not held to what the follower has",
    patches: [raft("replication.ts", "const commit = Math.min(progress.match, r.log.committed);", "const commit = r.log.committed;")],
  },
  {
    id: "M06",
    bug: "acknowledgements leave before what they acknowledge is durable",
    patches: [
      raft("message.ts", 'return type === "MsgAppResp" || type === "MsgVoteResp"', 'return type === "MsgVoteResp"'),
      raft("raft.ts", "if (promisesDurability(message.type)) {", "if (promisesDurability(message.type) || message.to === this.id) {"),
    ],
  },
  {
    id: "M07",
    bug: "an append of an earlier term makes entries stable",
    patches: [raft("raft.ts", "if (mark.term === this.term) this.log", "if (mark.term > 0) this.log")],
  },
  {
    id: "M08",
    bug: "a learner refuses to vote",
    patches: [raft("election.ts", "if (canVote && r.log", "if (canVote && r.tracker.progress(r.id)?.isLearner !== true && r.log")],
  },
  {
    id: "M09",
    bug: "votes are given while a leader's lease runs",
    patches: [raft("raft.ts", "if (ticksLeft === 0) return false;", "if (ticksLeft < 1e9) return false;")],
  },
  {
    id: "M10",
    bug: "a removed leader counts itself",
    patches: [
      raft(
        "tracker.ts",
        "return this.quorumIndex(this.#matchOf);",
        "const { incoming } = this.#current; const self = [...this.#removed].find((id) => !incoming.includes(id)); return this.#current.outgoing.length > 0 || self === undefined ? this.quorumIndex(this.#matchOf) : jointIndex([...incoming, self], [], (id) => (id === self ? 1e9 : this.#matchOf(id)));",
      ),
      raft(
        "tracker.ts",
        "  #memberIds: readonly number[] = [];",
        "  #memberIds: readonly number[] = [];\n  readonly #removed = new Set<number>();",
      ),
      raft(
        "tracker.ts",
        "    const kept = new Map<number, Progress>();",
        "    const kept = new Map<number, Progress>();\n    for (const id of this.#progresses.keys()) if (!this.#memberIds.includes(id) && (this.#progresses.get(id)?.recentActive ?? false)) this.#removed.add(id);",
      ),
    ],
  },
  {
    id: "M11",
    bug: "an append that was delivered before truncates the log",
    patches: [raft("log.ts", "if (this.matchTerm(entry.index, entry.term)) continue;", "if (entry.index <= this.committed) continue;")],
  },
  {
    id: "M12",
    bug: "a follower commits beyond what the append brought",
    patches: [
      raft("log.ts", "this.commitTo(Math.min(leaderCommit, lastNew));", "this.commitTo(Math.min(leaderCommit, this.lastIndex()));"),
    ],
  },
  {
    id: "M13",
    bug: "a snapshot that is behind is taken",
    patches: [
      raft("follower.ts", "if (snapshot.index <= r.log.committed) return false;", ""),
      raft("log.ts", "    this.committed = snapshot.index;\n", "    this.committed = Math.max(0, snapshot.index);\n"),
    ],
  },
  {
    id: "M14",
    bug: "the window has no limit",
    patches: [
      raft("inflights.ts", "return this.#used >= this.#maxMessages || this.#bytes >= this.#maxBytes;", "return this.#used < 0;"),
      raft("inflights.ts", "Math.min(this.#maxMessages, Math.max(4, this.#indexes.length * 2))", "Math.max(4, this.#indexes.length * 2)"),
    ],
  },
  {
    id: "M15",
    bug: "entries are applied before they are durable here",
    patches: [raft("log.ts", "return allowUnstable ? this.committed :", "return this.committed >= 0 ? this.committed :")],
  },
  {
    id: "M16",
    bug: "a node campaigns with a membership change to apply",
    patches: [raft("election.ts", "  if (r.hasUnappliedConfChange()) {\n    // It", "  if (r.term < 0) {\n    // It")],
  },
  {
    id: "M17",
    bug: "a joint commit needs the incoming majority only",
    patches: [raft("quorum.ts", "return outgoing.length === 0 ? index :", "return outgoing.length >= 0 ? index :")],
  },
  {
    id: "M18",
    bug: "a new leader appends no entry of its own",
    patches: [raft("leader.ts", '  appendEntries(r, [{ type: "normal", data: EMPTY_BYTES }]);\n  r.trace', "  r.trace")],
  },
  {
    id: "M19",
    bug: "uncommitted proposals have no limit",
    patches: [raft("leader.ts", "if (r.uncommittedBytes > 0 && bytes > 0 &&", "if (r.uncommittedBytes < 0 &&")],
  },
  { id: "M20", bug: "the vote survives the term", patches: [raft("raft.ts", "      this.vote = 0;\n", "")] },
  {
    id: "M21",
    bug: "a pre-vote raises the term",
    patches: [
      raft(
        "raft.ts",
        '    this.tracker.resetVotes();\n    this.lead = 0;\n    this.role = "pre-candidate";',
        '    this.reset(this.term + 1);\n    this.role = "pre-candidate";',
      ),
    ],
  },
  {
    id: "M22",
    bug: "a joint election needs the incoming majority only",
    patches: [raft("quorum.ts", "  const right = majorityVote(outgoing, voted);", "  const right = left; void outgoing;")],
  },
  {
    id: "M23",
    bug: "a second membership change is proposed while one is pending",
    patches: [raft("leader.ts", "if (r.pendingConfIndex > r.log.applied)", "if (r.pendingConfIndex < 0)")],
  },
  {
    id: "M24",
    bug: "the vote is not stored",
    patches: [
      driver(
        "this.#parked.push({ number, hardState, snapshot,",
        "this.#parked.push({ number, hardState: hardState && { ...hardState, vote: 0 }, snapshot,",
      ),
    ],
  },
  {
    id: "M25",
    bug: "the term is not stored",
    patches: [
      driver(
        "this.#parked.push({ number, hardState, snapshot,",
        "this.#parked.push({ number, hardState: hardState && { ...hardState, term: 1, vote: 0 }, snapshot,",
      ),
    ],
  },
  {
    id: "M26",
    bug: "a conflict leaves the end of the unstable log",
    patches: [
      raft(
        "unstable.ts",
        "      this.#window.truncateFrom(first.index);\n      this.#inProgress = Math.min(this.#inProgress, first.index);\n      this.#window.append(entries);",
        "      const end = first.index + entries.length;\n      const rest = end < this.#window.endIndex ? this.#window.slice(end, this.#window.endIndex, Infinity) : [];\n      this.#window.truncateFrom(first.index);\n      this.#inProgress = Math.min(this.#inProgress, first.index);\n      this.#window.append(entries);\n      this.#window.append(rest);",
      ),
    ],
  },
  {
    id: "M27",
    bug: "the hint of a refusal is ignored",
    patches: [
      raft(
        "leader.ts",
        "const hint = logTerm > 0 ? r.log.findConflictByTerm(rejectHint, logTerm).index : rejectHint;",
        "const hint = rejectHint >= 0 ? message.index : logTerm;",
      ),
    ],
  },
  {
    id: "M28",
    bug: "a leader without a quorum leads on",
    patches: [raft("leader.ts", "  if (!r.tracker.isQuorumActive(r.id)) {", "  if (r.term < 0) {")],
  },

  {
    id: "P01",
    bug: "a read is answered before a quorum confirmed the lead",
    patches: [raft("leader-reads.ts", "if (r.tracker.isSoleVoter(r.id) || holdsLease(r)) {", "if (r.term > 0) {")],
  },
  {
    id: "P02",
    bug: "a new leader answers reads before its first commit",
    patches: [raft("leader-reads.ts", "return r.log.matchTerm(r.log.committed, r.term);", "return r.term > 0;")],
  },
  {
    id: "P03",
    bug: "a round that was sent before the read confirms it",
    patches: [raft("reads.ts", "this.#waiting.push({ round: this.round + 1, index", "this.#waiting.push({ round: this.round, index")],
  },
  {
    id: "P04",
    bug: "one answer confirms a read",
    patches: [
      raft(
        "leader-reads.ts",
        "const round = r.tracker.quorumIndex((id) =>",
        "const round = Math.max(...r.tracker.members.filter((id) => id !== r.id || r.tracker.isSoleVoter(id)).map((id) =>",
      ),
      raft("leader-reads.ts", "(r.tracker.progress(id)?.ackedRound ?? 0)));", "(r.tracker.progress(id)?.ackedRound ?? 0))));"),
    ],
  },
  {
    id: "P05",
    bug: "a lease outlives a transfer",
    patches: [raft("leader-reads.ts", 'r.config.readMode !== "lease" || r.leaseBroken', 'r.config.readMode !== "lease"')],
  },
  {
    id: "P06",
    bug: "a lease lasts from its last check of the quorum, as long as twice an election timeout",
    patches: [
      raft(
        "leader-reads.ts",
        "r.ticks < start + r.config.electionTicks - r.config.leaseMarginTicks",
        "r.ticks < start + r.config.electionTicks * 2",
      ),
    ],
  },
  {
    id: "P07",
    bug: "a restarted node forgets the lease that it granted",
    patches: [raft("raft.ts", "this.#promiseEnd = config.leaseStartupTicks;", "this.#promiseEnd = 0;")],
  },
  {
    id: "P08",
    bug: "persisted(n) attests what the log has become since",
    patches: [
      raft(
        "node.ts",
        "if (out.mark !== undefined) this.raft.appendDone(out.mark);",
        "const now = this.#mark(); if (now !== undefined) this.raft.appendDone(now);",
      ),
    ],
  },
  {
    id: "P09",
    bug: "C1: messages of a term leave before the term is durable",
    patches: [driver("const isTermDurable = this.#termBatch <= this.#persistedNumber;", "const isTermDurable = this.#termBatch >= 0;")],
  },
  {
    id: "P10",
    bug: "C2, C3: nobody ends a snapshot that nobody reports on",
    patches: [driver("for (const id of this.#snapshots.tick()) this.#node.reportSnapshot(id, false);", "this.#snapshots.tick();")],
  },
  {
    id: "P11",
    bug: "C4: entries beside a snapshot are dropped",
    patches: [
      driver(
        "this.#parked.push({ number, hardState, snapshot, entries,",
        "this.#parked.push({ number, hardState, snapshot, entries: snapshot === undefined ? entries : [],",
      ),
    ],
  },
  {
    id: "P12",
    bug: "C5: a restart takes the commit index on disk as it is",
    patches: [driver("Math.max(state.hardState.commit, state.applied, state.compacted.index)", "state.hardState.commit")],
  },
  {
    id: "P13",
    bug: "C6: a late hard state takes the commit index on disk back",
    patches: [
      driver(
        "this.#parked.push({ number, hardState, snapshot,",
        "this.#parked.push({ number, hardState: hardState && { ...hardState, commit: number % 2 === 0 ? this.#durable.commit : hardState.commit }, snapshot,",
      ),
    ],
  },
  {
    id: "P14",
    bug: "C7: the log is compacted beyond what the core knows to be applied",
    patches: [driver("Math.min(this.#compactTarget, this.#node.appliedIndex,", "Math.min(this.#compactTarget,")],
  },
  {
    id: "P15",
    bug: "C8, C9: a snapshot is restored under entries that are being applied",
    patches: [driver("if (batch.snapshot !== undefined && this.#node.appliedIndex < this.#handedToApply) return;", "")],
  },
  {
    id: "P16",
    bug: "C10: an answer to an earlier incarnation's read answers a new one",
    patches: [driver("Number(BigInt.asUintN(FIRST_READ_BITS, options.random.u64())) + 1", "FIRST_READ_BITS")],
  },
  {
    id: "P17",
    bug: "C11: a demoted leader stops at once, and refusals tell no commit index",
    patches: [
      raft("membership.ts", 'if (r.config.onRemoval === "immediate") {', 'if (r.config.onRemoval !== "never") {'),
      raft("election.ts", "if (message.knownCommit <= r.log.committed ||", "if (message.knownCommit >= 0 ||"),
    ],
  },
  {
    id: "P18",
    bug: "a refusal's commit index is taken without a look at the log",
    patches: [
      raft(
        "election.ts",
        "|| !r.log.matchTerm(message.knownCommit, message.knownCommitTerm)) return;",
        "|| message.knownCommit > r.log.lastIndex()) return;",
      ),
    ],
  },
  {
    id: "P19",
    bug: "an acknowledgement replaces a refusal",
    mayLive: "the acknowledgement that it swallows is one that the network might have lost: the next heartbeat's answer makes up for it",
    patches: [raft("raft.ts", "|| last.reject || next.reject) return false;", ") return false;")],
  },
  {
    id: "P20",
    bug: "promises leave with the Ready that makes them",
    patches: [
      driver(
        "    this.#inFlight.push({ ready, held });\n",
        "    this.#inFlight.push({ ready: { ...ready, afterPersist: ready.afterPersist.filter((one) => one.to === this.#node.id) }, held });\n    this.#sendAll(ready.afterPersist);\n",
      ),
    ],
  },
  {
    id: "P21",
    bug: "an even group commits with half of it",
    patches: [raft("quorum.ts", "return indexes[size - majority(size)] as number;", "return indexes[Math.floor(size / 2)] as number;")],
  },
  {
    id: "P22",
    bug: "a snapshot that this log has already replaces it",
    patches: [raft("follower.ts", "if (r.log.matchTerm(snapshot.index, snapshot.term)) {", "if (r.term < 0) {")],
  },
  {
    id: "P23",
    bug: "the promise of a lease ends with the term",
    patches: [raft("raft.ts", "    this.#promiseEnd = this.ticks + this.config.electionTicks;\n", "")],
  },
];
