/** The settings of one node. Times are ticks: the host decides how long a tick is. */
import { assert, type Random } from "../base/mod.ts";
import type { WindowLimits } from "./progress.ts";

/** How a leader knows that it still leads when it answers a read. */
export type ReadMode = "safe" | "lease";

/**
 * What a leader does that a membership change has removed or demoted. handover: it leads on until a quorum of the new voters
 * knows that the change is committed, then tells the best of them to campaign; immediate: it stops at once; never: it leads on.
 */
export type RemovalMode = "handover" | "immediate" | "never";

/** Settings; every one has a default but `id` and `random`. */
export interface RaftOptions extends Partial<WindowLimits> {
  readonly id: number;
  /** Draws election timeouts, so that candidates do not meet for ever. */
  readonly random: Random;
  /** Ticks without a leader after which a follower campaigns; each wait is drawn from [electionTicks, 2 * electionTicks). Default 10. */
  readonly electionTicks?: number | undefined;
  /** Ticks between a leader's heartbeats. Default 1. */
  readonly heartbeatTicks?: number | undefined;
  /** Ask before campaigning, so that a node that was cut off deposes nobody. Default true. */
  readonly preVote?: boolean | undefined;
  /** A leader that hears from no quorum for an election timeout stops leading, and nobody votes while its leader lives. Default true. */
  readonly checkQuorum?: boolean | undefined;
  /** Default safe. lease needs `checkQuorum`, and clocks whose ticks drift by less than `leaseMarginTicks` in an election timeout. */
  readonly readMode?: ReadMode | undefined;
  /** A lease ends this many ticks before an election timeout has passed since it was confirmed. Default 2; at least 2. */
  readonly leaseMarginTicks?: number | undefined;
  /** After a start in lease mode a node gives no vote for this long: it may have promised one before. Default electionTicks. */
  readonly leaseStartupTicks?: number | undefined;
  /** Default handover. */
  readonly onRemoval?: RemovalMode | undefined;
  /** Bytes of entries in one append message; at least one entry is sent. Default 1 MiB. */
  readonly maxMessageBytes?: number | undefined;
  /** Bytes of payload that a leader takes in beyond what was applied; one proposal is taken however large. Default 256 MiB. */
  readonly maxUncommittedBytes?: number | undefined;
  /** Bytes handed out for application and not yet applied. Default 64 MiB. */
  readonly maxApplyingBytes?: number | undefined;
  /** Reads that wait for a leader's first commit, or for a confirmation. Default 65,536. */
  readonly maxPendingReads?: number | undefined;
  /** A follower sends proposals on to its leader. Default true. */
  readonly forwardProposals?: boolean | undefined;
  /** Take membership changes that look wrong here. For scripts. Default false. */
  readonly allowUnsafeConfChanges?: boolean | undefined;
  /** Send appends, acknowledgements and read rounds once per Ready, not once per call. Default true. */
  readonly coalesce?: boolean | undefined;
  /** Hand out committed entries before they are durable here. Only for a host that persists before it applies. Default false. */
  readonly applyUnstable?: boolean | undefined;
}

/** Settings with every default filled in. */
export type RaftConfig = { readonly [Name in keyof RaftOptions]-?: Exclude<RaftOptions[Name], undefined> };

const MIB = 1024 * 1024;

/** Fills in defaults. @throws AssertionError if settings contradict each other. */
export function completeOptions(options: RaftOptions): RaftConfig {
  const electionTicks = options.electionTicks ?? 10;
  const config: RaftConfig = {
    id: options.id,
    random: options.random,
    electionTicks,
    heartbeatTicks: options.heartbeatTicks ?? 1,
    preVote: options.preVote ?? true,
    checkQuorum: options.checkQuorum ?? true,
    readMode: options.readMode ?? "safe",
    leaseMarginTicks: options.leaseMarginTicks ?? 2,
    leaseStartupTicks: options.leaseStartupTicks ?? electionTicks,
    onRemoval: options.onRemoval ?? "handover",
    maxMessageBytes: options.maxMessageBytes ?? MIB,
    maxInflightMessages: options.maxInflightMessages ?? 256,
    maxInflightBytes: options.maxInflightBytes ?? 64 * MIB,
    maxUncommittedBytes: options.maxUncommittedBytes ?? 256 * MIB,
    maxApplyingBytes: options.maxApplyingBytes ?? 64 * MIB,
    maxPendingReads: options.maxPendingReads ?? 65_536,
    forwardProposals: options.forwardProposals ?? true,
    allowUnsafeConfChanges: options.allowUnsafeConfChanges ?? false,
    coalesce: options.coalesce ?? true,
    applyUnstable: options.applyUnstable ?? false,
  };
  validate(config);
  return config;
}

function validate(config: RaftConfig): void {
  assert(Number.isSafeInteger(config.id) && config.id > 0, "a node id is a positive safe integer");
  assert(config.heartbeatTicks > 0, "heartbeatTicks is positive");
  assert(config.electionTicks > config.heartbeatTicks, "electionTicks is greater than heartbeatTicks");
  assert(config.maxInflightMessages > 0 && config.maxInflightBytes > 0, "the window lets something through");
  assert(config.maxApplyingBytes > 0, "something may be applied");
  assert(config.maxUncommittedBytes > 0, "something may be proposed");
  if (config.readMode === "safe") return;
  assert(config.checkQuorum, "lease reads need checkQuorum");
  assert(config.leaseMarginTicks >= 2, "a lease ends at least two ticks early: ticks of two clocks do not fall together");
}
