/**
 * Moves frames of the WAL into the main file beside the apply thread, on a connection and thread of its own: SQLite lets a writer append
 * meanwhile. What was appended meanwhile, and to begin the WAL anew, is left to the apply thread in a pause between two transactions: that
 * takes it a millisecond instead of ten to thirty.
 */
import { packError, type PumiceError, type WorkerScope } from "../../base/mod.ts";
import { Connection } from "../connection/connection.ts";
import { fullError, isFull, isSqliteError, machineError } from "../connection/errors.ts";
import type { CheckpointerResponse, SqlWorkerInit } from "../wire/protocol.ts";

/** A connection that only checkpoints. */
export class Checkpointer {
  readonly #connection: Connection;

  /** The database was opened by a state machine before. @throws SQL_EXTENSION, SQL_MACHINE */
  constructor({ path, extensionPath, foreignKeys }: SqlWorkerInit) {
    this.#connection = new Connection({ path, extensionPath, foreignKeys, isReader: false });
    this.#connection.exec("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA busy_timeout = 0");
  }

  /** Moves what readers allow; waits for nobody. SQL_FULL if the main file found no room; then it may be tried again. @throws SQL_MACHINE, SQL_CORRUPT */
  move(): PumiceError | undefined {
    try {
      // Whether it could move all is told by the checkpoint after it.
      this.#connection.own("PRAGMA wal_checkpoint(PASSIVE)").get();
      return undefined;
    } catch (error) {
      if (!isSqliteError(error)) throw error;
      if (isFull(error)) return fullError(error, "checkpoint");
      throw machineError(error, "checkpoint");
    }
  }

  close(): void {
    this.#connection.close();
  }
}

/** The message loop of a checkpoint worker: each message asks for one move. */
export function serveCheckpointer(scope: WorkerScope, initial: SqlWorkerInit): void {
  let checkpointer: Checkpointer | undefined;
  scope.onMessage(() => {
    try {
      checkpointer ??= new Checkpointer(initial);
      const full = checkpointer.move();
      scope.post({ kind: "moved", full: full && packError(full) } satisfies CheckpointerResponse);
    } catch (error) {
      scope.post({ kind: "fatal", error: packError(error) } satisfies CheckpointerResponse);
    }
  });
}
