/**
 * SQL dumps under way. Each reads one state of the database from its first row to its last, and the WAL cannot begin anew meanwhile. A client that does not
 * take what it asked for must not let the WAL grow without bound: when it has to be cut, a dump that waits for its client ends.
 */
import { PumiceError, type Clock, type Worker } from "../base/mod.ts";

/** One dump. */
export interface DumpWatch {
  /** Why it was ended. */
  readonly failure: PumiceError | undefined;
  /** A piece is handed out: from now on the dump waits for its client. */
  handedOut(): void;
  /** The client has taken the piece. */
  taken(): void;
  done(): void;
}

interface Entry {
  readonly worker: Worker;
  waitsSinceMs: number | undefined;
  failure: PumiceError | undefined;
}

/** All of them. */
export class Dumps {
  readonly #clock: Clock;
  readonly #entries = new Set<Entry>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Watches the dump that `worker` makes. */
  watch(worker: Worker): DumpWatch {
    const entry: Entry = { worker, waitsSinceMs: undefined, failure: undefined };
    const clock = this.#clock;
    this.#entries.add(entry);
    return {
      get failure(): PumiceError | undefined {
        return entry.failure;
      },
      handedOut: () => void (entry.waitsSinceMs = clock.monotonic()),
      taken: () => void (entry.waitsSinceMs = undefined),
      done: () => void this.#entries.delete(entry),
    };
  }

  /** Ends those whose client has taken nothing for `ms`. The number ended. */
  endStalled(ms: number): number {
    const limitMs = this.#clock.monotonic() - ms;
    let count = 0;
    for (const entry of this.#entries) {
      if (entry.waitsSinceMs === undefined || entry.waitsSinceMs > limitMs) continue;
      entry.failure = new PumiceError("SQL_BACKUP", { reason: "its client did not read on while the WAL had to be cut" });
      this.#entries.delete(entry);
      void entry.worker.terminate();
      count++;
    }
    return count;
  }
}
