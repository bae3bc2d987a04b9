/** The part of /status that tells of the replica: its log, its database, its place in the cluster. */
import type { App } from "./app.ts";
import type { ReplicaStatus } from "../replica/mod.ts";
import type { ReplicaPort } from "./replica-port.ts";

/** `{ open: false }` until the store is open. */
export async function storeStatus(app: App): Promise<Record<string, unknown>> {
  const replica = app.parts.replica();
  if (replica === undefined) return { open: false };
  const { node } = app.parts;
  const status = await replica.status();
  const isReady = replica.isReady();
  const { applied } = status;
  return {
    open: true,
    node_id: status.self.name,
    cluster_id: status.clusterId,
    addr: status.self.raftAddress,
    ready: isReady,
    // A client that sees a leader here counts on /readyz.
    leader: isReady ? { node_id: status.leader?.name ?? "", addr: status.leader?.raftAddress ?? "" } : { node_id: "", addr: "" },
    raft: raftStatus(status),
    fsm_index: applied.index,
    fsm_term: applied.term,
    db_applied_index: applied.index,
    nodes: status.peers.map(({ name, raftAddress, isVoter }) => ({
      id: name,
      addr: raftAddress,
      suffrage: isVoter ? "Voter" : "Nonvoter",
    })),
    dir: node.dataDirectory,
    sqlite3: sqliteStatus(app, status),
    db_conf: { fk_constraints: status.writer.pragmas["foreign_keys"] === "1" },
    readers: { threads: status.readers, reads_under_way: status.reads },
    checkpoints: {
      count: status.checkpoints.checkpoints,
      busy: status.checkpoints.busy,
      put_off: status.checkpoints.putOff,
      reads_interrupted: status.checkpoints.readsInterrupted,
    },
    disk: diskStatus(status),
    snapshot_store: { snapshots: [] },
  };
}

/** `in`: the parts that found no room, of `log`, `database` and `checkpoint`. */
function diskStatus({ fullDisk }: ReplicaStatus): Record<string, unknown> {
  if (fullDisk === undefined) return { full: false };
  return { full: true, in: fullDisk.places, seconds: Math.round(fullDisk.forMs / 1000) };
}

/** rqlite's word for a role. */
const STATES = { leader: "Leader", follower: "Follower", candidate: "Candidate", "pre-candidate": "Candidate" } as const;

function raftStatus({ raft, applied, waitingApply, waitingWrites }: ReplicaStatus): Record<string, unknown> {
  const isVoter = raft.confState.voters.includes(raft.id);
  return {
    state: STATES[raft.role],
    term: raft.term,
    last_log_index: raft.lastIndex,
    first_log_index: raft.firstIndex,
    commit_index: raft.commit,
    applied_index: applied.index,
    fsm_pending: waitingApply,
    writes_waiting: waitingWrites,
    last_snapshot_index: raft.firstIndex - 1,
    latest_configuration: raft.confState,
    num_peers: Math.max(0, raft.confState.voters.length - 1),
    last_contact: "0",
    voter: isVoter,
  };
}

function sqliteStatus(app: App, { writer, reader, walBytes }: ReplicaStatus): Record<string, unknown> {
  const sizeBytes = writer.pageSizeBytes * writer.pageCount;
  return {
    version: writer.version,
    compile_options: writer.compileOptions,
    path: `${app.parts.node.dataDirectory}/db.sqlite`,
    db_size: sizeBytes,
    db_size_friendly: friendlySize(sizeBytes),
    size: sizeBytes,
    wal_size: walBytes,
    pragmas: { rw: writer.pragmas, ro: reader.pragmas },
  };
}

/** Bytes for people: `4.1 kB`. */
function friendlySize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit] as string}`;
}

/** Counters of the replica for /debug/vars; none until the store is open. */
export async function replicaVariables(replica: ReplicaPort | undefined): Promise<Record<string, unknown>> {
  if (replica === undefined) return {};
  const { raft, applied, checkpoints, reads, waitingApply, waitingWrites, walBytes } = await replica.status();
  return {
    store: {
      commit_index: raft.commit,
      applied_index: applied.index,
      fsm_pending: waitingApply,
      writes_waiting: waitingWrites,
      reads_under_way: reads,
    },
    db: {
      checkpoints: checkpoints.checkpoints,
      checkpoint_busy_errors: checkpoints.busy,
      checkpoints_put_off: checkpoints.putOff,
      reads_interrupted: checkpoints.readsInterrupted,
      wal_size: walBytes,
    },
  };
}
