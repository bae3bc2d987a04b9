/** The message loop of the apply worker: one StateMachine, requests answered in their order. See worker-protocol.ts. */
import { type FileSystem, isPumiceError, type WorkerScope } from "../base/mod.ts";
import { packResults, unpackApply } from "./packing.ts";
import { StateMachine } from "./state-machine.ts";
import type { ApplyRequest, ApplyResponse, SqlWorkerInit, WireError } from "./worker-protocol.ts";

/** What a SQL worker needs of the world. */
export interface SqlWorkerWorld {
  readonly files: FileSystem;
  readonly monotonic: () => number;
}

/** Opens the database and serves. After a failure it says `fatal` once and does nothing more. */
export function serveApply(scope: WorkerScope, initial: SqlWorkerInit, world: SqlWorkerWorld): void {
  const post = (response: ApplyResponse, transfer?: readonly ArrayBuffer[]): void => scope.post(response, transfer);
  let machine: StateMachine | undefined;
  const attempt = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      machine?.close();
      machine = undefined;
      post({ kind: "fatal", error: wireError(error) });
    }
  };
  attempt(() => {
    machine = StateMachine.open({ ...initial, ...world });
    post({ kind: "opened", applied: machine.applied, sqliteVersion: machine.status().version, walBytes: machine.walBytes() });
  });
  scope.onMessage((message) => {
    const open = machine;
    if (open === undefined) return;
    attempt(() => answer(open, message as ApplyRequest, post));
    if ((message as ApplyRequest).kind === "close") machine = undefined;
  });
}

function answer(
  machine: StateMachine,
  request: ApplyRequest,
  post: (response: ApplyResponse, transfer?: readonly ArrayBuffer[]) => void,
): void {
  switch (request.kind) {
    case "apply": {
      const transfer: ArrayBuffer[] = [];
      const results = packResults(machine.apply(unpackApply(request.batch)), transfer);
      post({ kind: "applied", results, applied: machine.applied, walBytes: machine.walBytes() }, transfer);
      return;
    }
    case "checkpoint":
      post({ kind: "checkpointed", checkpoint: machine.checkpoint(request.mode), walBytes: machine.walBytes() });
      return;
    case "status":
      post({ kind: "status", status: machine.status() });
      return;
    case "close":
      machine.close();
      post({ kind: "closed" });
  }
}

/** An error as it crosses threads. */
export function wireError(error: unknown): WireError {
  if (isPumiceError(error)) return { code: error.code, message: error.message, details: error.details };
  return { code: undefined, message: error instanceof Error ? (error.stack ?? error.message) : String(error), details: {} };
}
