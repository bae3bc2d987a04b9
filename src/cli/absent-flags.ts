/**
 * The flags of rqlited that pumiced does not have yet. One that asks for what a single node does anyway is accepted, so that scripts
 * written for rqlited run; one that asks for more is refused by name and reason. Nothing is ignored in silence.
 */

/** What an absent flag is for, and which of its values change nothing on a single node. */
export interface AbsentFlag {
  readonly boolean: boolean;
  /** Why it is refused: a phrase that follows the flag's name. */
  readonly reason: string;
  /** True if `text` asks for nothing. Booleans that stand alone come as "true". */
  readonly isNeutral?: (text: string) => boolean;
  /** Set if the flag is accepted with a line that says that it has no effect yet. */
  readonly notice?: string;
}

const CLUSTER = "needs a cluster, and clusters of more than one node are not available yet; leave it out";
const LATER = "is not available yet; leave it out";

const isFalse = (text: string): boolean => ["0", "f", "false"].includes(text.toLowerCase());
const isTrue = (text: string): boolean => ["1", "t", "true"].includes(text.toLowerCase());
const isEmpty = (text: string): boolean => text === "";
const isZero = (text: string): boolean => /^0(?:\.0+)?(?:ns|us|µs|ms|s|m|h)?$/.test(text);
const isAnything = (): boolean => true;

const text = (reason: string): AbsentFlag => ({ boolean: false, reason, isNeutral: isEmpty });
const off = (reason: string): AbsentFlag => ({ boolean: true, reason, isNeutral: isFalse });
/** Tunes something that only happens together with another absent flag, which is refused itself. */
const tunes: AbsentFlag = { boolean: false, reason: "", isNeutral: isAnything };
const noSnapshots: AbsentFlag = {
  boolean: false,
  reason: "",
  notice: "has no effect yet: there are no snapshots; -raft-snap-wal-size bounds the Raft log",
};

/** rqlited's other flags by name. */
export const ABSENT_FLAGS: Readonly<Record<string, AbsentFlag>> = {
  "extensions-path": text(LATER),
  "cdc-config": text(LATER),
  "otlp-endpoint": text(LATER),
  "otlp-interval": tunes,
  "otlp-insecure": { ...tunes, boolean: true },
  "otlp-no-verify": { ...tunes, boolean: true },
  "otlp-ca-cert": text(LATER),
  "otlp-cert": text(LATER),
  "otlp-key": text(LATER),
  "auto-backup": text(LATER),
  "auto-restore": text(LATER),
  "http-verify-common-name": text(LATER),
  "node-ca-cert": text(CLUSTER),
  "node-cert": text(CLUSTER),
  "node-key": text(CLUSTER),
  "node-no-verify": off(CLUSTER),
  "node-verify-client": off(CLUSTER),
  "node-verify-server-name": text(CLUSTER),
  "node-verify-common-name": text(CLUSTER),
  "compress-snap-transport": off(CLUSTER),
  join: text(CLUSTER),
  "join-attempts": tunes,
  "join-interval": tunes,
  "join-as": text(CLUSTER),
  "bootstrap-expect": { boolean: false, reason: CLUSTER, isNeutral: (value) => value === "0" || value === "1" },
  "bootstrap-expect-timeout": tunes,
  "disco-mode": text(CLUSTER),
  "disco-key": tunes,
  "disco-config": text(CLUSTER),
  "auto-vacuum-int": { boolean: false, reason: "is not available yet; run VACUUM by /db/execute when it suits", isNeutral: isZero },
  "auto-optimize-int": {
    boolean: false,
    reason: "is not available yet; run PRAGMA optimize by /db/execute when it suits",
    isNeutral: isZero,
  },
  "raft-non-voter": off(CLUSTER),
  "raft-snap": noSnapshots,
  "raft-snap-int": noSnapshots,
  "raft-leader-lease-timeout": { boolean: false, reason: CLUSTER, isNeutral: isZero },
  "raft-commit-timeout": tunes,
  "raft-election-timeout": { boolean: false, reason: "is the same as the heartbeat timeout here; use -raft-heartbeat-timeout" },
  "raft-remove-shutdown": off(CLUSTER),
  "raft-cluster-remove-shutdown": off(CLUSTER),
  "raft-shutdown-stepdown": {
    boolean: true,
    reason: "can't be off: a node alone has nobody to hand leadership to",
    isNeutral: (v) => isTrue(v) || isFalse(v),
  },
  "raft-reap-node-timeout": { boolean: false, reason: CLUSTER, isNeutral: isZero },
  "raft-reap-read-only-node-timeout": { boolean: false, reason: CLUSTER, isNeutral: isZero },
  "cluster-connect-timeout": tunes,
  "cpu-profile": { boolean: false, reason: "is not available; use NODE_OPTIONS=--cpu-prof", isNeutral: isEmpty },
  "mem-profile": { boolean: false, reason: "is not available; use NODE_OPTIONS=--heap-prof", isNeutral: isEmpty },
  "trace-profile": { boolean: false, reason: "is not available; use NODE_OPTIONS=--trace-event-categories", isNeutral: isEmpty },
  "on-disk-path": { boolean: false, reason: "was removed from rqlite 10 and never was in Pumice: the database lies in the data directory" },
  "raft-timeout": { boolean: false, reason: "was renamed; use -raft-heartbeat-timeout" },
  "http-no-verify": off("was removed from rqlite 10 and never was in Pumice; leave it out"),
};
