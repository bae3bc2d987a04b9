/** The checkpoint thread, seen from the main thread. It is started when it is first needed: many nodes never fill a WAL. */
import { PumiceError, unpackError, type Worker } from "../../base/mod.ts";
import type { CheckpointerResponse } from "../wire/protocol.ts";

/** What it is made of. */
export interface CheckpointThreadParts {
  readonly spawn: () => Worker;
  /** This machine failed: the replica must stop. */
  readonly failed: (error: PumiceError) => void;
}

/** Moves the WAL into the database file beside the apply thread. */
export class CheckpointThread {
  readonly #parts: CheckpointThreadParts;
  #worker: Worker | undefined;
  #waiting: ((full: PumiceError | undefined) => void)[] = [];
  #isClosed = false;

  constructor(parts: CheckpointThreadParts) {
    this.#parts = parts;
  }

  /** Resolves when what readers allow has been moved: with SQL_FULL if the disk had no room for it. Never, if the machine failed. */
  move(): Promise<PumiceError | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined);
    this.#worker ??= this.#start();
    this.#worker.post("move");
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Ends the thread, after the move under way. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker?.terminate();
    for (const resolve of this.#waiting.splice(0)) resolve(undefined);
  }

  #start(): Worker {
    const worker = this.#parts.spawn();
    worker.onMessage((message) => {
      const response = message as CheckpointerResponse;
      if (response.kind === "fatal") this.#parts.failed(unpackError(response.error));
      else this.#waiting.shift()?.(response.full && unpackError(response.full));
    });
    worker.onExit((error) => this.#parts.failed(new PumiceError("WORKER_FAILED", { name: "checkpoint" }, error)));
    return worker;
  }
}
