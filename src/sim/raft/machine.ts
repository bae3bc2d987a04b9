/**
 * The state machine of one simulated node: it becomes the hash of everything that it applied. What it applied since it last
 * became durable is lost in a crash, as with a database that syncs only at checkpoints.
 */
import { assert } from "../../base/mod.ts";
import { EMPTY_CONF_STATE, membersAfter, type ConfState, type Entry, type Snapshot } from "../../raft/mod.ts";
import { chainOf, REGISTERS, registersOf, snapshotBytes } from "./disk.ts";
import { chainHash, proposalId } from "./hash.ts";

interface MachineState {
  readonly index: number;
  readonly term: number;
  readonly chain: number;
  readonly members: ConfState;
  readonly registers: readonly number[];
}

/** A state machine that can crash. */
export class SimMachine {
  #state: MachineState = {
    index: 0,
    term: 0,
    chain: 0,
    members: EMPTY_CONF_STATE,
    registers: Array.from({ length: REGISTERS }, () => 0),
  };
  #durable: MachineState = this.#state;

  get applied(): number {
    return this.#state.index;
  }

  get chain(): number {
    return this.#state.chain;
  }

  register(at: number): number {
    return this.#state.registers[at] ?? 0;
  }

  get members(): ConfState {
    return this.#state.members;
  }

  /** Applies the next entry. */
  apply(entry: Entry): void {
    const state = this.#state;
    assert(entry.index === state.index + 1, "a state machine applies entries without gap or repeat");
    const members = entry.type === "config" ? membersAfter(state.members, entry) : state.members;
    let { registers } = state;
    if (entry.type === "normal" && entry.data.length > 0) {
      const id = proposalId(entry.data);
      registers = registers.with(id % REGISTERS, id);
    }
    this.#state = { index: entry.index, term: entry.term, chain: chainHash(state.chain, entry), members, registers };
  }

  flush(): void {
    this.#durable = this.#state;
  }

  crash(): void {
    this.#state = this.#durable;
  }

  /** A snapshot of what was applied; durable at once. */
  snapshot(): Snapshot {
    this.flush();
    const { index, term, chain, members, registers } = this.#state;
    return { index, term, confState: members, data: snapshotBytes(chain, registers) };
  }

  /** Takes the state that a snapshot holds; durable at once. */
  restore(snapshot: Snapshot): void {
    assert(snapshot.index >= this.#state.index, "a snapshot does not take a state machine back");
    this.#state = {
      index: snapshot.index,
      term: snapshot.term,
      chain: chainOf(snapshot.data),
      members: snapshot.confState,
      registers: registersOf(snapshot.data),
    };
    this.flush();
  }
}
