/**
 * What the core does, as values: one event per transition or decision that an engineer would want to read. Nobody listens in
 * production, and then no event is made. The scripts' log lines and the simulator's traces are formatted from these, elsewhere.
 */
import type { ConfChange } from "./conf-change.ts";
import type { Configuration } from "./configuration.ts";
import type { RaftLog } from "./log.ts";
import type { Message, MessageType } from "./message.ts";
import type { Progress } from "./progress.ts";
import type { Role, Snapshot } from "./types.ts";

/** Takes events as they happen. It must format what it wants to keep: logs, progress and messages change afterwards. */
export type Trace = (event: TraceEvent) => void;

interface LogEnd {
  readonly lastTerm: number;
  readonly lastIndex: number;
}

/** An event of one node. */
export type TraceEvent =
  | ({
      readonly kind: "started";
      readonly term: number;
      readonly members: readonly number[];
      readonly commit: number;
      readonly applied: number;
    } & LogEnd)
  | { readonly kind: "became-follower" | "became-candidate" | "became-pre-candidate" | "became-leader"; readonly term: number }
  | { readonly kind: "configuration"; readonly config: Configuration }
  | { readonly kind: "election-started" | "campaign-blocked-by-config"; readonly term: number }
  | { readonly kind: "campaign-ignored-leader" | "campaign-unpromotable" | "campaign-blocked-by-lease" }
  | ({ readonly kind: "vote-requested"; readonly type: MessageType; readonly to: number; readonly term: number } & LogEnd)
  | ({ readonly kind: "vote-cast" | "vote-rejected"; readonly message: Message; readonly vote: number; readonly term: number } & LogEnd)
  | ({
      readonly kind: "vote-ignored-lease";
      readonly message: Message;
      readonly vote: number;
      readonly term: number;
      readonly ticksLeft: number;
    } & LogEnd)
  | { readonly kind: "vote-received"; readonly type: MessageType; readonly from: number; readonly granted: boolean; readonly term: number }
  | { readonly kind: "votes"; readonly type: MessageType; readonly granted: number; readonly rejected: number }
  | { readonly kind: "learned-commit"; readonly from: number; readonly index: number }
  | { readonly kind: "higher-term" | "lower-term-ignored"; readonly message: Message; readonly term: number }
  | { readonly kind: "append-ignored-lower-term"; readonly appendTerm: number; readonly term: number }
  | { readonly kind: "proposal-dropped-no-leader" | "transfer-dropped-no-leader" | "read-dropped-no-leader"; readonly term: number }
  | { readonly kind: "proposal-not-forwarded"; readonly lead: number; readonly term: number }
  | { readonly kind: "proposal-dropped-transfer"; readonly transferee: number; readonly term: number }
  | { readonly kind: "proposal-dropped-size" | "read-dropped-full" }
  | { readonly kind: "conf-change-ignored"; readonly change: ConfChange; readonly config: Configuration; readonly reason: string }
  | { readonly kind: "auto-leave"; readonly config: Configuration; readonly refused: boolean }
  | { readonly kind: "quorum-inactive" }
  | { readonly kind: "forget-leader"; readonly lead: number; readonly term: number }
  | { readonly kind: "forget-leader-refused" }
  | { readonly kind: "timeout-now"; readonly from: number; readonly term: number }
  | { readonly kind: "timeout-now-ignored"; readonly from: number; readonly term: number; readonly role: Role }
  | { readonly kind: "append-rejected"; readonly message: Message; readonly existingTerm: number }
  | { readonly kind: "append-refused"; readonly message: Message }
  | {
      readonly kind: "progress-decreased" | "progress-recovered" | "progress-unreachable" | "snapshot-succeeded" | "snapshot-failed";
      readonly of: number;
      readonly progress: Progress;
    }
  | { readonly kind: "progress-missing"; readonly of: number }
  | {
      readonly kind: "snapshot-sent";
      readonly to: number;
      readonly progress: Progress;
      readonly snapshot: Snapshot;
      readonly firstIndex: number;
      readonly commit: number;
    }
  | { readonly kind: "progress-paused"; readonly of: number; readonly progress: Progress }
  | { readonly kind: "snapshot-withheld-inactive" | "snapshot-unavailable"; readonly to: number }
  | { readonly kind: "transfer-started" | "transfer-repeated" | "transfer-aborted"; readonly transferee: number; readonly term: number }
  | { readonly kind: "transfer-to-self" | "transfer-to-learner" }
  | { readonly kind: "transfer-immediate" | "transfer-caught-up"; readonly transferee: number }
  | { readonly kind: "handover"; readonly successor: number }
  | { readonly kind: "log-restore"; readonly log: RaftLog; readonly snapshot: Snapshot }
  | ({ readonly kind: "restored" | "fast-forwarded"; readonly commit: number; readonly snapshot: Snapshot } & LogEnd)
  | { readonly kind: "snapshot-accepted" | "snapshot-ignored"; readonly commit: number; readonly snapshot: Snapshot }
  | { readonly kind: "conflict"; readonly index: number; readonly existingTerm: number; readonly term: number }
  | {
      readonly kind: "unstable-replaced" | "unstable-truncated" | "stable-ignored-snapshot" | "stable-ignored-missing";
      readonly index: number;
    }
  | { readonly kind: "stable-ignored-mismatch"; readonly index: number; readonly term: number; readonly existingTerm: number }
  | { readonly kind: "committed"; readonly index: number }
  | { readonly kind: "appended"; readonly firstIndex: number; readonly lastIndex: number };
