/** What the clients of a simulated group did and saw: writes of registers by proposals, and reads. */
import { checkLinearizableByKey, REGISTER, type Operation, type RegisterInput, type Verdict } from "../check/linearizability.ts";
import { REGISTERS } from "./disk.ts";

interface Write {
  readonly call: number;
  /** When the first state machine applied it; Infinity until then. */
  ret: number;
}

/** A history in the making. Times are counts of events. */
export class ClientHistory {
  readonly #writes = new Map<number, Write>();
  readonly #reads: Operation<RegisterInput, number>[] = [];

  /** A proposal that was taken; its outcome is not known yet. */
  proposed(id: number, now: number): void {
    this.#writes.set(id, { call: now, ret: Infinity });
  }

  /** A state machine applied it: every linearizable read that begins from now on sees it, or what came after it. */
  applied(id: number, now: number): void {
    const write = this.#writes.get(id);
    if (write !== undefined && write.ret === Infinity) write.ret = now;
  }

  read(register: number, span: { readonly call: number; readonly ret: number }, value: number): void {
    this.#reads.push({ ...span, input: { kind: "read", key: register }, output: value });
  }

  /** Whether one register behind each key could have done all this. At the end of a run, what was not applied never will be. */
  check(): { readonly verdict: Verdict; readonly key: string | number | undefined } {
    const operations = [...this.#reads];
    for (const [id, { call, ret }] of this.#writes) {
      if (ret !== Infinity) operations.push({ call, ret, input: { kind: "write", key: id % REGISTERS, value: id }, output: undefined });
    }
    return checkLinearizableByKey(operations, (input) => input.key, REGISTER, BUDGET);
  }
}

/** Steps of the search per register. */
const BUDGET = 5_000;
