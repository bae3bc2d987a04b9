/**
 * A process's connection to its store, which ends where the process dies: at a call that is chosen beforehand, before its effect or after it.
 * From then on nothing that the process does reaches the store, and nothing comes back. The store itself lives on for the next process.
 */
import { assert, type ObjectStore } from "../../../base/mod.ts";
import { interceptStore, isChange, type StoreCall } from "./intercept.ts";

/** Where to crash. */
export interface CrashPoint {
  /** The number of the call, from 1. */
  readonly at: number;
  readonly when: "before" | "after";
}

/** See the header of this file. */
export class CrashableStore {
  readonly store: ObjectStore;
  readonly #point: CrashPoint | undefined;
  readonly #crashed = Promise.withResolvers<StoreCall | undefined>();
  readonly #calls: StoreCall[] = [];
  #isCrashed = false;

  /** Without a point it counts, and crashes when told to. */
  constructor(inner: ObjectStore, point?: CrashPoint, options: { readonly countsChangesOnly?: boolean } = {}) {
    assert(point === undefined || point.at >= 1, "calls are counted from 1");
    this.#point = point;
    this.store = interceptStore(inner, async (call, run) => {
      if (this.#isCrashed) return never();
      // A crash at a call that only asks is one between the changes around it.
      const isCounted = options.countsChangesOnly !== true || isChange(call);
      if (isCounted) this.#calls.push(call);
      const isHere = isCounted && this.#point !== undefined && this.#calls.length === this.#point.at;
      if (isHere && this.#point?.when === "before") return this.#die(call);
      const result = await run();
      if (isHere) return this.#die(call);
      // A call under way when the process dies may still have taken effect; its answer finds nobody.
      return this.#isCrashed ? never() : result;
    });
  }

  /** The calls that were made before the crash, the fatal one included. */
  get calls(): readonly StoreCall[] {
    return this.#calls;
  }

  /** The numbers of those that could change the store: the interesting points. */
  get changes(): readonly number[] {
    return this.#calls.flatMap((call, i) => (isChange(call) ? [i + 1] : []));
  }

  /** Resolves when the process has died, with the call it died at. */
  get crashed(): Promise<StoreCall | undefined> {
    return this.#crashed.promise;
  }

  /** Dies now, between two calls. */
  crash(): void {
    this.#isCrashed = true;
    this.#crashed.resolve(undefined);
  }

  #die(call: StoreCall): Promise<never> {
    this.#isCrashed = true;
    this.#crashed.resolve(call);
    return never();
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
