/** Events of the core as the scripts' log lines. Test code: production makes no event and no line. */
import type { TraceEvent } from "../../../src/raft/mod.ts";
import { describeConfiguration, describeProgress, describeSteps, hex, roleName } from "./describe.ts";

/** The levels, lowest first. Under "none" only errors of commands are printed. */
export const LEVELS = ["debug", "info", "warn", "error", "fatal", "none"] as const;
export type Level = (typeof LEVELS)[number];

export interface LogLine {
  readonly level: Level;
  readonly text: string;
}

type Of<Kind extends TraceEvent["kind"]> = Extract<TraceEvent, { readonly kind: Kind }>;

/** The line of an event of node `id`; undefined for events that the scripts do not know. */
export function logLine(id: number, event: TraceEvent): LogLine | undefined {
  const x = hex(id);
  return electionLine(x, event) ?? replicationLine(x, event) ?? transferLine(x, event) ?? membershipLine(x, event) ?? storageLine(x, event);
}

const info = (text: string): LogLine => ({ level: "info", text });
const debug = (text: string): LogLine => ({ level: "debug", text });
const warn = (text: string): LogLine => ({ level: "warn", text });

function voteLine(x: string, event: Of<"vote-cast" | "vote-rejected" | "vote-ignored-lease">): LogLine {
  const { message: m, lastTerm, lastIndex, vote, term } = event;
  const verb = { "vote-cast": "cast", "vote-rejected": "rejected", "vote-ignored-lease": "ignored" }[event.kind];
  const preposition = event.kind === "vote-cast" ? "for" : "from";
  const head = `${x} [logterm: ${lastTerm}, index: ${lastIndex}, vote: ${hex(vote)}] ${verb} ${m.type} ${preposition} ${hex(m.from)}`;
  const lease = event.kind === "vote-ignored-lease" ? `: lease is not expired (remaining ticks: ${event.ticksLeft})` : "";
  return info(`${head} [logterm: ${m.logTerm}, index: ${m.index}] at term ${term}${lease}`);
}

function electionLine(x: string, event: TraceEvent): LogLine | undefined {
  switch (event.kind) {
    case "started":
      return info(
        `newRaft ${x} [peers: [${event.members.map(hex).join(",")}], term: ${event.term}, commit: ${event.commit}, applied: ${event.applied}, lastindex: ${event.lastIndex}, lastterm: ${event.lastTerm}]`,
      );
    case "became-follower":
    case "became-candidate":
    case "became-pre-candidate":
    case "became-leader":
      return info(`${x} ${event.kind.replace("became-", "became ")} at term ${event.term}`);
    case "election-started":
      return info(`${x} is starting a new election at term ${event.term}`);
    case "campaign-blocked-by-config":
      return warn(`${x} cannot campaign at term ${event.term} since there are still pending configuration changes to apply`);
    case "campaign-ignored-leader":
      return debug(`${x} ignoring MsgHup because already leader`);
    case "campaign-unpromotable":
      return warn(`${x} is unpromotable and can not campaign`);
    case "vote-requested":
      return info(
        `${x} [logterm: ${event.lastTerm}, index: ${event.lastIndex}] sent ${event.type} request to ${hex(event.to)} at term ${event.term}`,
      );
    case "vote-cast":
    case "vote-rejected":
    case "vote-ignored-lease":
      return voteLine(x, event);
    case "vote-received":
      return info(`${x} received ${event.type}${event.granted ? "" : " rejection"} from ${hex(event.from)} at term ${event.term}`);
    case "votes":
      return info(`${x} has received ${event.granted} ${event.type} votes and ${event.rejected} vote rejections`);
    case "higher-term":
      return info(
        `${x} [term: ${event.term}] received a ${event.message.type} message with higher term from ${hex(event.message.from)} [term: ${event.message.term}]`,
      );
    case "lower-term-ignored":
      return info(
        `${x} [term: ${event.term}] ignored a ${event.message.type} message with lower term from ${hex(event.message.from)} [term: ${event.message.term}]`,
      );
    case "append-ignored-lower-term":
      return info(
        `${x} [term: ${event.term}] ignored entry appends from a MsgStorageAppendResp message with lower term [term: ${event.appendTerm}]`,
      );
    case "quorum-inactive":
      return warn(`${x} stepped down to follower since quorum is not active`);
    case "forget-leader":
      return info(`${x} forgetting leader ${hex(event.lead)} at term ${event.term}`);
    case "forget-leader-refused":
      return { level: "error", text: "ignoring MsgForgetLeader due to ReadOnlyLeaseBased" };
    default:
      return undefined;
  }
}

function replicationLine(x: string, event: TraceEvent): LogLine | undefined {
  switch (event.kind) {
    case "proposal-dropped-no-leader":
      return info(`${x} no leader at term ${event.term}; dropping proposal`);
    case "proposal-not-forwarded":
      return info(`${x} not forwarding to leader ${hex(event.lead)} at term ${event.term}; dropping proposal`);
    case "proposal-dropped-transfer":
      return debug(`${x} [term ${event.term}] transfer leadership to ${hex(event.transferee)} is in progress; dropping proposal`);
    case "proposal-dropped-size":
      return warn(`${x} appending new entries to log would exceed uncommitted entry size limit; dropping proposal`);
    case "read-dropped-no-leader":
      return info(`${x} no leader at term ${event.term}; dropping index reading msg`);
    case "append-rejected": {
      const { message: m, existingTerm } = event;
      return debug(
        `${x} [logterm: ${existingTerm}, index: ${m.index}] rejected MsgApp [logterm: ${m.logTerm}, index: ${m.index}] from ${hex(m.from)}`,
      );
    }
    case "append-refused": {
      const { message: m } = event;
      return debug(
        `${x} received MsgAppResp(rejected, hint: (index ${m.rejectHint}, term ${m.logTerm})) from ${hex(m.from)} for index ${m.index}`,
      );
    }
    case "progress-decreased":
      return debug(`${x} decreased progress of ${hex(event.of)} to [${describeProgress(event.progress)}]`);
    case "progress-recovered":
      return debug(
        `${x} recovered from needing snapshot, resumed sending replication messages to ${hex(event.of)} [${describeProgress(event.progress)}]`,
      );
    case "progress-unreachable":
      return debug(`${x} failed to send message to ${hex(event.of)} because it is unreachable [${describeProgress(event.progress)}]`);
    case "progress-paused":
      return debug(`${x} paused sending replication messages to ${hex(event.of)} [${describeProgress(event.progress)}]`);
    case "progress-missing":
      return debug(`${x} no progress available for ${hex(event.of)}`);
    case "snapshot-succeeded":
      return debug(
        `${x} snapshot succeeded, resumed sending replication messages to ${hex(event.of)} [${describeProgress(event.progress)}]`,
      );
    case "snapshot-failed":
      return debug(`${x} snapshot failed, resumed sending replication messages to ${hex(event.of)} [${describeProgress(event.progress)}]`);
    case "snapshot-sent": {
      const { snapshot, firstIndex, commit } = event;
      return debug(
        `${x} [firstindex: ${firstIndex}, commit: ${commit}] sent snapshot[index: ${snapshot.index}, term: ${snapshot.term}] to ${hex(event.to)} [${describeProgress(event.progress)}]`,
      );
    }
    case "snapshot-withheld-inactive":
      return debug(`ignore sending snapshot to ${hex(event.to)} since it is not recently active`);
    case "snapshot-unavailable":
      return debug(`${x} failed to send snapshot to ${hex(event.to)} because snapshot is temporarily unavailable`);
    default:
      return undefined;
  }
}

function transferLine(x: string, event: TraceEvent): LogLine | undefined {
  switch (event.kind) {
    case "transfer-dropped-no-leader":
      return info(`${x} no leader at term ${event.term}; dropping leader transfer msg`);
    case "transfer-started":
      return info(`${x} [term ${event.term}] starts to transfer leadership to ${hex(event.transferee)}`);
    case "transfer-repeated":
      return info(
        `${x} [term ${event.term}] transfer leadership to ${hex(event.transferee)} is in progress, ignores request to same node ${hex(event.transferee)}`,
      );
    case "transfer-aborted":
      return info(`${x} [term ${event.term}] abort previous transferring leadership to ${hex(event.transferee)}`);
    case "transfer-to-self":
      return debug(`${x} is already leader. Ignored transferring leadership to self`);
    case "transfer-to-learner":
      return debug(`${x} is learner. Ignored transferring leadership`);
    case "transfer-immediate":
      return info(
        `${x} sends MsgTimeoutNow to ${hex(event.transferee)} immediately as ${hex(event.transferee)} already has up-to-date log`,
      );
    case "transfer-caught-up":
      return info(`${x} sent MsgTimeoutNow to ${hex(event.transferee)} after received MsgAppResp`);
    case "timeout-now":
      return info(`${x} [term ${event.term}] received MsgTimeoutNow from ${hex(event.from)} and starts an election to get leadership.`);
    case "timeout-now-ignored":
      return debug(`${x} [term ${event.term} state ${roleName(event.role)}] ignored MsgTimeoutNow from ${hex(event.from)}`);
    default:
      return undefined;
  }
}

function membershipLine(x: string, event: TraceEvent): LogLine | undefined {
  switch (event.kind) {
    case "configuration":
      return info(`${x} switched to configuration ${describeConfiguration(event.config)}`);
    case "conf-change-ignored":
      return info(`${x} ignoring conf change ${describeChange(event)} at config ${describeConfiguration(event.config)}: ${event.reason}`);
    case "auto-leave": {
      const config = describeConfiguration(event.config);
      if (event.refused) return debug(`not initiating automatic transition out of joint configuration ${config}: raft proposal dropped`);
      return info(`initiating automatic transition out of joint configuration ${config}`);
    }
    default:
      return undefined;
  }
}

const CHANGE_TYPES = {
  "add-voter": "ConfChangeAddNode",
  "add-learner": "ConfChangeAddLearnerNode",
  remove: "ConfChangeRemoveNode",
  update: "ConfChangeUpdateNode",
} as const;
const TRANSITIONS = {
  auto: "ConfChangeTransitionAuto",
  implicit: "ConfChangeTransitionJointImplicit",
  explicit: "ConfChangeTransitionJointExplicit",
} as const;

function describeChange({ change }: Of<"conf-change-ignored">): string {
  const steps = change.changes.map(({ kind, nodeId }) => ` changes:{type:${CHANGE_TYPES[kind]} node_id:${nodeId}}`);
  return `transition:${TRANSITIONS[change.transition]}${steps.join("")}`;
}

function storageLine(x: string, event: TraceEvent): LogLine | undefined {
  switch (event.kind) {
    case "log-restore": {
      const { log, snapshot } = event;
      const { unstable } = log;
      return info(
        `log [committed=${log.committed}, applied=${log.applied}, applying=${log.applying}, unstable.offset=${unstable.offset}, unstable.offsetInProgress=${unstable.offsetInProgress}, len(unstable.Entries)=${unstable.count}] starts to restore snapshot [index: ${snapshot.index}, term: ${snapshot.term}]`,
      );
    }
    case "restored":
    case "fast-forwarded": {
      const { snapshot, commit, lastIndex, lastTerm } = event;
      const what = event.kind === "restored" ? "restored snapshot" : "fast-forwarded commit to snapshot";
      return info(
        `${x} [commit: ${commit}, lastindex: ${lastIndex}, lastterm: ${lastTerm}] ${what} [index: ${snapshot.index}, term: ${snapshot.term}]`,
      );
    }
    case "snapshot-accepted":
    case "snapshot-ignored": {
      const what = event.kind === "snapshot-accepted" ? "restored" : "ignored";
      return info(`${x} [commit: ${event.commit}] ${what} snapshot [index: ${event.snapshot.index}, term: ${event.snapshot.term}]`);
    }
    case "conflict":
      return info(`found conflict at index ${event.index} [existing term: ${event.existingTerm}, conflicting term: ${event.term}]`);
    case "unstable-replaced":
      return info(`replace the unstable entries from index ${event.index}`);
    case "unstable-truncated":
      return info(`truncate the unstable entries before index ${event.index}`);
    case "stable-ignored-missing":
      return info(`entry at index ${event.index} missing from unstable log; ignoring`);
    case "stable-ignored-snapshot":
      return info(`entry at index ${event.index} matched unstable snapshot; ignoring`);
    case "stable-ignored-mismatch":
      return info(
        `entry at (index,term)=(${event.index},${event.term}) mismatched with entry at (${event.index},${event.existingTerm}) in unstable log; ignoring`,
      );
    default:
      return undefined;
  }
}

/** An event that the scripts have no line for, readably: for traces of the simulator. */
export function eventLine(id: number, event: TraceEvent): string {
  const known = logLine(id, event);
  if (known !== undefined) return known.text;
  if (event.kind === "conf-change-ignored") return `${hex(id)} ignored ${describeSteps(event.change)}`;
  const fields = Object.entries(event).filter(([name, value]) => name !== "kind" && typeof value !== "object");
  return [hex(id), event.kind, ...fields.map(([name, value]) => `${name}=${String(value)}`)].join(" ");
}
