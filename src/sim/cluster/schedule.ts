/**
 * The order of turns in a simulated process. Each thread of the process is a queue; a random one of those with work takes the next turn, so that
 * threads meet in every order, while the tasks of one thread keep theirs. A process that ends drops its queues: nothing of it runs again.
 */
import type { Random } from "../../base/mod.ts";
import type { Turns } from "../world/spawner.ts";

/** The threads of one process. */
export class Schedule {
  readonly #random: Random;
  #queues: (() => void)[][] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** A thread of its own. */
  thread(): Turns {
    const queue: (() => void)[] = [];
    return (task) => {
      if (queue.push(task) === 1) this.#queues.push(queue);
    };
  }

  /** Runs one turn; false if no thread has work. */
  turn(): boolean {
    if (this.#queues.length === 0) return false;
    const at = this.#random.below(this.#queues.length);
    const queue = this.#queues[at] as (() => void)[];
    const task = queue.shift() as () => void;
    if (queue.length === 0) this.#queues.splice(at, 1);
    task();
    return true;
  }

  /** The process is gone. */
  end(): void {
    for (const queue of this.#queues) queue.length = 0;
    this.#queues = [];
  }
}
