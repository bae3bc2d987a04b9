/** The message loop of the apply worker: one StateMachine, requests answered in their order. See wire/protocol.ts. */
import { type FileSystem, packError, type WorkerScope } from "../../base/mod.ts";
import { packResults, unpackApply } from "../wire/packing.ts";
import type { EntryResult } from "../result/results.ts";
import { OldStateFormat } from "../connection/state-schema.ts";
import { StateMachine } from "./state-machine.ts";
import type { ApplyRequest, ApplyResponse, SqlWorkerInit } from "../wire/protocol.ts";
import type { ApplyEntry } from "../command/entry.ts";

/** What a SQL worker needs of the world. */
export interface SqlWorkerWorld {
  readonly files: FileSystem;
  readonly monotonic: () => number;
}

/** Opens the database and serves. A database of an older format is opened once `upgrade` comes. After a failure it says `fatal` once and does nothing more. */
export function serveApply(scope: WorkerScope, initial: SqlWorkerInit, world: SqlWorkerWorld): void {
  const post: Post = (response, transfer) => scope.post(response, transfer);
  let server: ApplyServer | undefined;
  const attempt = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      server?.close();
      server = undefined;
      post({ kind: "fatal", error: packError(error) });
    }
  };
  const open = (isUpgraded: boolean): void => {
    try {
      const machine = StateMachine.open({ ...initial, ...world, isUpgraded });
      server = new ApplyServer(machine, post);
      post({ kind: "opened", held: machine.state(), sqliteVersion: machine.status().version, walBytes: machine.walBytes() });
    } catch (error) {
      if (!(error instanceof OldStateFormat)) throw error;
      post({ kind: "old" });
    }
  };
  attempt(() => open(false));
  scope.onMessage((message) => {
    if ((message as ApplyRequest).kind === "upgrade") {
      attempt(() => open(true));
      return;
    }
    const serving = server;
    if (serving === undefined) return;
    attempt(() => serving.answer(message as Exclude<ApplyRequest, { kind: "upgrade" }>));
    if ((message as ApplyRequest).kind === "close") server = undefined;
  });
}

type Post = (response: ApplyResponse, transfer?: readonly ArrayBuffer[]) => void;

/** A batch, and what its first entries gave before the disk was full. */
interface Batch {
  readonly entries: readonly ApplyEntry[];
  results: EntryResult[];
}

class ApplyServer {
  readonly #machine: StateMachine;
  readonly #post: Post;
  /** Batches that wait for room, in order. Empty unless the disk is full. */
  readonly #kept: Batch[] = [];

  constructor(machine: StateMachine, post: Post) {
    this.#machine = machine;
    this.#post = post;
  }

  answer(request: Exclude<ApplyRequest, { kind: "upgrade" }>): void {
    const machine = this.#machine;
    switch (request.kind) {
      case "apply":
        this.#kept.push({ entries: unpackApply(request.batch), results: [] });
        if (this.#kept.length === 1) this.#applyKept();
        return;
      case "retry":
        this.#applyKept();
        return;
      case "checkpoint": {
        const { full, ...checkpoint } = machine.checkpoint(request.mode);
        const wire = { ...checkpoint, full: full && packError(full) };
        this.#post({ kind: "checkpointed", checkpoint: wire, walBytes: machine.walBytes() });
        return;
      }
      case "identify":
        machine.identify(request.node);
        return;
      case "status":
        this.#post({ kind: "status", status: machine.status() });
        return;
      case "close":
        machine.finish();
        this.#post({ kind: "closed" });
    }
  }

  #applyKept(): void {
    for (;;) {
      const batch = this.#kept[0];
      if (batch === undefined) return;
      const done = batch.results.length;
      const { results, full } = this.#machine.applySome(done === 0 ? batch.entries : batch.entries.slice(done));
      batch.results = done === 0 ? results : [...batch.results, ...results];
      if (full !== undefined) {
        this.#post({ kind: "full", error: packError(full) });
        return;
      }
      this.#kept.shift();
      const transfer: ArrayBuffer[] = [];
      const packed = packResults(batch.results, transfer);
      this.#post({ kind: "applied", results: packed, applied: this.#machine.applied, walBytes: this.#machine.walBytes() }, transfer);
    }
  }

  close(): void {
    this.#machine.finish();
  }
}
