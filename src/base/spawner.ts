/** Threads of work, as the world gives them: worker threads in production, turns of one queue in the simulator. */

/** One end of a two-way channel to a worker. Messages arrive in order; they are structured clones, or moved if listed in `transfer`. */
export interface WorkerPort {
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** Sets the one receiver. Messages that came before are delivered first. */
  onMessage(receive: (message: unknown) => void): void;
}

/** The worker's own end. */
export interface WorkerScope extends WorkerPort {
  /**
   * Sets the one listener for the moment when no message waits: called after the last of those that waited has been received, and
   * again, once those that came meanwhile have been, as long as it returns true (it has more to do). This is what batches are made of.
   */
  onIdle(work: () => boolean): void;
}

/** The code of a worker: called once, with its end of the channel and what its spawner gave it. It lives until it is terminated. */
export type WorkerMain = (scope: WorkerScope, initial: unknown) => void;

/** A running worker, seen by its spawner. */
export interface Worker extends WorkerPort {
  /** Called once if the worker ends by itself: undefined when it finished, the error when it failed. */
  onExit(listener: (error: Error | undefined) => void): void;
  /** Whether a program that has nothing else to do waits for this worker. At first it does. */
  keepProcess(isKept: boolean): void;
  /** Ends it. Idempotent; resolves when it is gone. */
  terminate(): Promise<void>;
}

/** Starts workers by the name under which a composition root registered their code. */
export interface Spawner {
  /** @throws WORKER_FAILED if there is no worker of that name. `initial` reaches the worker as its second argument, cloned. */
  spawn(name: string, initial: unknown): Worker;
}
