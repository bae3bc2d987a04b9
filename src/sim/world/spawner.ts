/** Simulated workers: turns of one queue, which the world orders. */
import { PumiceError, type Spawner, type Worker, type WorkerMain, type WorkerScope } from "../../base/mod.ts";

/** Runs `task` later, exactly once: in the order in which the world wants. Tasks of one worker keep their order. */
export type Turns = (task: () => void) => void;

/** A spawner of `workers` whose turns `turns` orders. */
export function simSpawner(workers: ReadonlyMap<string, WorkerMain>, turns: Turns): Spawner {
  return {
    spawn(name, initial) {
      const main = workers.get(name);
      if (main === undefined) throw new PumiceError("WORKER_FAILED", { name, reason: "no worker of that name is registered" });
      return new SimWorker(main, structuredClone(initial), turns);
    },
  };
}

class SimWorker implements Worker {
  readonly #turns: Turns;
  /** To the worker. */
  readonly #inbox: Mailbox;
  /** From the worker. */
  readonly #outbox: Mailbox;
  #work: (() => boolean) | undefined;
  #isScheduled = false;
  #state: "running" | "failed" | "terminated" = "running";
  #failure: Error | undefined;
  #listener: ((error: Error | undefined) => void) | undefined;

  constructor(main: WorkerMain, initial: unknown, turns: Turns) {
    this.#turns = turns;
    this.#inbox = new Mailbox(() => this.#schedule());
    this.#outbox = new Mailbox(() => this.#turns(() => this.#deliver()));
    const scope: WorkerScope = {
      post: (message, transfer) => this.#outbox.put(message, transfer),
      onMessage: (receive) => this.#inbox.open(receive),
      onIdle: (work) => {
        this.#work = work;
        this.#schedule();
      },
    };
    turns(() => this.#attempt(() => main(scope, initial)));
  }

  post(message: unknown, transfer?: readonly ArrayBuffer[]): void {
    this.#inbox.put(message, transfer);
  }

  onMessage(receive: (message: unknown) => void): void {
    this.#outbox.open(receive);
  }

  onExit(listener: (error: Error | undefined) => void): void {
    this.#listener = listener;
    if (this.#state === "failed") listener(this.#failure);
  }

  keepProcess(): void {
    // No process waits for a simulated worker.
  }

  terminate(): Promise<void> {
    if (this.#state === "running") this.#state = "terminated";
    return Promise.resolve();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#turns(() => {
      this.#isScheduled = false;
      this.#attempt(() => {
        this.#inbox.deliver();
        if (this.#work?.() === true) this.#schedule();
      });
    });
  }

  #deliver(): void {
    if (this.#state !== "terminated") this.#outbox.deliver();
  }

  #attempt(work: () => void): void {
    if (this.#state !== "running") return;
    try {
      work();
    } catch (error) {
      this.#state = "failed";
      this.#failure = error instanceof Error ? error : new PumiceError("WORKER_FAILED", {}, error);
      this.#turns(() => this.#listener?.(this.#failure));
    }
  }
}

/** Messages one way. */
class Mailbox {
  readonly #arrived: () => void;
  #messages: unknown[] = [];
  #receive: ((message: unknown) => void) | undefined;

  constructor(arrived: () => void) {
    this.#arrived = arrived;
  }

  put(message: unknown, transfer: readonly ArrayBuffer[] = []): void {
    this.#messages.push(structuredClone(message, { transfer }));
    this.#arrived();
  }

  open(receive: (message: unknown) => void): void {
    this.#receive = receive;
    if (this.#messages.length > 0) this.#arrived();
  }

  /** Hands over all that waits. */
  deliver(): void {
    while (this.#receive !== undefined && this.#messages.length > 0) this.#receive(this.#messages.shift());
  }
}
