/**
 * Linearizable reads (section 8 of the paper, 6.4 of the thesis). A leader numbers its heartbeat rounds. A read takes the
 * commit index of its arrival and the number of the next round; once a quorum has answered that round or a later one, the
 * leader led when the read arrived, and the read may be answered. So one round confirms all reads that wait for it.
 *
 * A lease (6.4.1) is the other side of the same rounds: a node that answered the round that left at tick t votes for nobody until
 * an election timeout after it heard that round, so until `t + electionTicks - leaseMarginTicks` there is no other leader.
 */
import { assert } from "../base/mod.ts";

/** A read that waits. */
export interface PendingRead {
  /** The round that confirms it. */
  readonly round: number;
  /** The commit index when it arrived. */
  readonly index: number;
  /** Who asked; the answer goes there. */
  readonly from: number;
  readonly context: number;
}

/** The rounds and reads of one leader, in one term. */
export class ReadRounds {
  /** The last round that was sent. */
  round = 0;
  #waiting: PendingRead[] = [];
  #head = 0;
  /** When the latest rounds that nobody confirmed were sent, oldest first; only those that a lease could still begin with. */
  #sent: { readonly round: number; readonly tick: number }[] = [];
  readonly #leaseTicks: number;
  /** The tick at which the latest confirmed round was sent; -1 if none was. */
  #confirmedTick = -1;

  /** `leaseTicks`: how long a round can carry a lease; 0 if there are no leases. */
  constructor(leaseTicks: number) {
    this.#leaseTicks = leaseTicks;
  }

  /** Rounds that a lease may begin with. */
  get sentCount(): number {
    return this.#sent.length;
  }

  get waitingCount(): number {
    return this.#waiting.length - this.#head;
  }

  /** A round leaves at `tick`. Returns its number. */
  startRound(tick: number): number {
    this.round++;
    if (this.#leaseTicks > 0) {
      this.#forgetSent((one) => one.tick + this.#leaseTicks <= tick);
      this.#sent.push({ round: this.round, tick });
    }
    return this.round;
  }

  /** A read waits for the next round. */
  wait(index: number, from: number, context: number): void {
    this.#waiting.push({ round: this.round + 1, index, from, context });
  }

  /** A quorum has answered `round`: returns the reads that this confirms, oldest first. */
  confirm(round: number): readonly PendingRead[] {
    assert(round <= this.round, "only a round that was sent can be confirmed");
    this.#noteConfirmed(round);
    let end = this.#head;
    while (end < this.#waiting.length && (this.#waiting[end] as PendingRead).round <= round) end++;
    if (end === this.#head) return [];
    const released = this.#waiting.slice(this.#head, end);
    this.#head = end;
    if (this.#head * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    return released;
  }

  /** The tick at which the latest confirmed round was sent; -1 if none was. */
  leaseStart(): number {
    return this.#confirmedTick;
  }

  #noteConfirmed(round: number): void {
    for (const one of this.#sent) {
      if (one.round > round) break;
      this.#confirmedTick = one.tick;
    }
    this.#forgetSent((one) => one.round <= round);
  }

  /** Forgets the oldest rounds for which `isDone`. */
  #forgetSent(isDone: (one: { readonly round: number; readonly tick: number }) => boolean): void {
    let done = 0;
    while (done < this.#sent.length && isDone(this.#sent[done] as { readonly round: number; readonly tick: number })) done++;
    if (done > 0) this.#sent.splice(0, done);
  }
}
