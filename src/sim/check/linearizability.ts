/**
 * Is a history linearizable? Every operation must seem to happen at one moment between its call and its return.
 *
 * Source: Wing and Gong, "Testing and Verifying Concurrent Objects", 1993, with the cache of Lowe, "Testing for
 * Linearizability", 2017. Linearizability is local: a history is linearizable if its part for each key is, so it is checked key
 * by key. The search is exponential in what overlaps, so it has a budget; when that ends the answer is "unknown", never "ok".
 */
import { assert } from "../../base/mod.ts";

/** One operation of a history. Times need only be comparable. */
export interface Operation<Input, Output> {
  readonly call: number;
  /** Infinity if the outcome is unknown: it may have happened at any time since the call, or never. */
  readonly ret: number;
  readonly input: Input;
  /** What it returned; ignored if the outcome is unknown. */
  readonly output: Output | undefined;
}

/** What the object does, one operation after the other. */
export interface SequentialModel<State, Input, Output> {
  readonly initial: State;
  /** The state after `input`, or undefined if it could not return `output`. `output` is undefined where nobody knows it. */
  step(state: State, input: Input, output: Output | undefined): { readonly state: State } | undefined;
  /** Equal for equal states. */
  fingerprint(state: State): string;
}

/** "unknown": the budget ended first. */
export type Verdict = "ok" | "illegal" | "unknown";

/** Steps that a search may take, unless it is told otherwise. */
const DEFAULT_BUDGET = 2_000_000;

interface Event<Input, Output> {
  readonly id: number;
  readonly operation: Operation<Input, Output>;
  readonly time: number;
  /** The return of this call; undefined for a return. */
  match: Event<Input, Output> | undefined;
  previous: Event<Input, Output> | undefined;
  next: Event<Input, Output> | undefined;
}

/** Checks the history of one object. */
export function checkLinearizable<State, Input, Output>(
  operations: readonly Operation<Input, Output>[],
  model: SequentialModel<State, Input, Output>,
  budget: number = DEFAULT_BUDGET,
): Verdict {
  const head = linkEvents(operations);
  const done = new BitSet(operations.length);
  const seen = new Set<string>();
  const stack: { readonly event: Event<Input, Output>; readonly state: State }[] = [];
  let { initial: state } = model;
  let event = head.next;
  for (let steps = 0; head.next !== undefined; steps++) {
    if (steps >= budget) return "unknown";
    if (event?.match !== undefined) {
      const { operation } = event;
      const isKnown = operation.ret !== Infinity;
      const after = model.step(state, operation.input, isKnown ? operation.output : undefined);
      if (after !== undefined) {
        done.add(event.id);
        const key = `${done.key()}|${model.fingerprint(after.state)}`;
        if (!seen.has(key)) {
          seen.add(key);
          stack.push({ event, state });
          state = after.state;
          lift(event);
          event = head.next;
          continue;
        }
        done.delete(event.id);
      }
      event = event.next;
      continue;
    }
    // Only operations that may never have happened are left: none of them has to be placed.
    if (event === undefined || event.time === Infinity) return "ok";
    const last = stack.pop();
    if (last === undefined) return "illegal";
    state = last.state;
    done.delete(last.event.id);
    unlift(last.event);
    event = last.event.next;
  }
  return "ok";
}

/** Checks a history of many objects, each by itself. The worst verdict counts: illegal, then unknown. */
export function checkLinearizableByKey<State, Input, Output>(
  operations: readonly Operation<Input, Output>[],
  keyOf: (input: Input) => string | number,
  model: SequentialModel<State, Input, Output>,
  budget: number = DEFAULT_BUDGET,
): { readonly verdict: Verdict; readonly key: string | number | undefined } {
  const byKey = new Map<string | number, Operation<Input, Output>[]>();
  for (const operation of operations) {
    const key = keyOf(operation.input);
    const part = byKey.get(key);
    if (part === undefined) byKey.set(key, [operation]);
    else part.push(operation);
  }
  let unknown: string | number | undefined;
  for (const [key, part] of byKey) {
    const verdict = checkLinearizable(part, model, budget);
    if (verdict === "illegal") return { verdict, key };
    if (verdict === "unknown") unknown = key;
  }
  return unknown === undefined ? { verdict: "ok", key: undefined } : { verdict: "unknown", key: unknown };
}

/** A register: what the simulator's and the real processes' tests mostly use. */
export type RegisterInput =
  | { readonly kind: "read"; readonly key: string | number }
  | { readonly kind: "write"; readonly key: string | number; readonly value: number }
  /** Writes `value` if the register holds `expected`; the output is 1 if it did, else 0. */
  | { readonly kind: "cas"; readonly key: string | number; readonly expected: number; readonly value: number };

/** A register that holds 0 at first. */
export const REGISTER: SequentialModel<number, RegisterInput, number> = {
  initial: 0,
  step(state, input, output) {
    if (input.kind === "read") return output === undefined || output === state ? { state } : undefined;
    if (input.kind === "write") return { state: input.value };
    const holds = state === input.expected;
    if (output !== undefined && output !== (holds ? 1 : 0)) return undefined;
    return { state: holds ? input.value : state };
  },
  fingerprint: String,
};

/** Calls and returns in order of time; at the same time calls come first, so that what touches overlaps. */
function linkEvents<Input, Output>(operations: readonly Operation<Input, Output>[]): { next: Event<Input, Output> | undefined } {
  const events: Event<Input, Output>[] = [];
  operations.forEach((operation, id) => {
    assert(operation.call <= operation.ret, "an operation returns after its call");
    const end: Event<Input, Output> = { id, operation, time: operation.ret, match: undefined, previous: undefined, next: undefined };
    events.push({ id, operation, time: operation.call, match: end, previous: undefined, next: undefined }, end);
  });
  events.sort((left, right) => {
    if (left.time !== right.time) return left.time < right.time ? -1 : 1;
    return Number(left.match === undefined) - Number(right.match === undefined);
  });
  const head: Event<Input, Output> = {
    id: -1,
    operation: HEAD,
    time: -Infinity,
    match: undefined,
    previous: undefined,
    next: undefined,
  } as Event<Input, Output>;
  let last = head;
  for (const event of events) {
    last.next = event;
    event.previous = last;
    last = event;
  }
  return head;
}

const HEAD: Operation<undefined, undefined> = { call: -Infinity, ret: -Infinity, input: undefined, output: undefined };

/** Takes a call and its return out of the list. */
function lift<Input, Output>(call: Event<Input, Output>): void {
  unlink(call);
  if (call.match !== undefined) unlink(call.match);
}

/** Puts them back where they were. */
function unlift<Input, Output>(call: Event<Input, Output>): void {
  if (call.match !== undefined) relink(call.match);
  relink(call);
}

function unlink<Input, Output>(event: Event<Input, Output>): void {
  if (event.previous !== undefined) event.previous.next = event.next;
  if (event.next !== undefined) event.next.previous = event.previous;
}

function relink<Input, Output>(event: Event<Input, Output>): void {
  if (event.previous !== undefined) event.previous.next = event;
  if (event.next !== undefined) event.next.previous = event;
}

class BitSet {
  private readonly words: Uint32Array;

  constructor(size: number) {
    this.words = new Uint32Array(Math.ceil(size / 32));
  }

  add(at: number): void {
    const word = at >>> 5;
    this.words[word] = (this.words[word] as number) | (1 << (at & 31));
  }

  delete(at: number): void {
    const word = at >>> 5;
    this.words[word] = (this.words[word] as number) & ~(1 << (at & 31));
  }

  key(): string {
    return this.words.join(",");
  }
}
