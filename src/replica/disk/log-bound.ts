/**
 * How far the log may go: the one place that decides it. An entry may go when the synced database file holds it, when a kept snapshot does (where snapshots
 * are kept), and when every follower has it or will be given a snapshot instead. Pure.
 *
 * Invariant: the bound never goes back.
 */

/** The bound, fed by everything that needs entries. */
export class LogBound {
  #synced = 0;
  #snapshots: number | undefined;
  #followers: number | undefined;
  #index = 0;

  /** Everything up to `index` stands in the synced database file. */
  synced(index: number): void {
    this.#synced = Math.max(this.#synced, index);
  }

  /** Everything up to `index` stands in a durable snapshot. Undefined: no snapshots are kept, and nothing waits for one. */
  snapshots(index: number | undefined): void {
    this.#snapshots = index;
  }

  /** Every follower that is to be fed from the log has everything up to `index`. Undefined: there is none. */
  followers(index: number | undefined): void {
    this.#followers = index;
  }

  /** Entries up to here may go. 0: none. */
  get index(): number {
    const least = Math.min(this.#synced, this.#snapshots ?? Infinity, this.#followers ?? Infinity);
    this.#index = Math.max(this.#index, least);
    return this.#index;
  }
}
