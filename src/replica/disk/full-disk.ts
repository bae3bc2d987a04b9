/**
 * A full disk fails nothing that was promised and ends nothing: the log, the database and its checkpoint each keep what they could not
 * write. Here it is said once, new writes are refused, and what was kept is tried again until there is room. Reads go on.
 *
 * A checkpoint that is put off refuses writes as well, though the WAL may still take some: an entry that is committed and cannot be
 * applied is worse for its client than one that was refused.
 */
import { PumiceError } from "../../base/mod.ts";

/** The part that met the full disk. */
export type FullPlace = "log" | "database" | "checkpoint";

/** A part that keeps what could not be written. */
export interface FullSource {
  readonly place: FullPlace;
  /** Undefined: there was room. */
  readonly refusal: () => PumiceError | undefined;
  /** Tries again. */
  readonly retry: () => void;
}

/** What is told of a full disk. */
export interface FullDiskStatus {
  readonly places: readonly FullPlace[];
  /** Time since it was noticed. Unit: ms. */
  readonly forMs: number;
}

interface State {
  readonly places: readonly FullPlace[];
  readonly sinceMs: number;
}

/** Room for a moment is not yet room: the log tries often, and each try looks like success until it has failed. Unit: ms. */
const CLEAR_MS = 500;
/** A try may cost as much as what it tries. Unit: ms. */
const RETRY_MS = 1000;

/** Watches the sources. Its owner calls `tick` often. */
export class FullDisk {
  readonly #sources: readonly FullSource[];
  readonly #warn: (line: string) => void;
  #state: State | undefined;
  #lastFullMs = 0;
  #triedMs = 0;

  /** The sources in the order in which they are tried again. */
  constructor(sources: readonly FullSource[], warn: (line: string) => void) {
    this.#sources = sources;
    this.#warn = warn;
  }

  /** Undefined: there is room. */
  status(nowMs: number): FullDiskStatus | undefined {
    return this.#state && { places: this.#state.places, forMs: nowMs - this.#state.sinceMs };
  }

  /** Why nothing new should be written. */
  refusal(): PumiceError | undefined {
    for (const { place, refusal } of this.#sources) {
      const cause = refusal();
      if (cause !== undefined) return new PumiceError("REPLICA_FULL", { in: place }, cause);
    }
    return undefined;
  }

  tick(nowMs: number): void {
    const full = this.#sources.filter(({ refusal }) => refusal() !== undefined);
    if (full.length > 0) this.#full(full, nowMs);
    else if (this.#state !== undefined && nowMs - this.#lastFullMs >= CLEAR_MS) this.#clear(this.#state, nowMs);
  }

  #full(full: readonly FullSource[], nowMs: number): void {
    const places = full.map(({ place }) => place);
    if (this.#state === undefined) {
      const why = full[0]?.refusal()?.message ?? "";
      this.#warn(`the disk is full (${places.join(", ")}): writes are refused until there is room, reads go on; ${why}`);
      this.#triedMs = nowMs;
    }
    this.#state = { places, sinceMs: this.#state?.sinceMs ?? nowMs };
    this.#lastFullMs = nowMs;
    if (nowMs - this.#triedMs < RETRY_MS) return;
    this.#triedMs = nowMs;
    for (const { retry } of this.#sources) retry();
  }

  #clear(state: State, nowMs: number): void {
    this.#state = undefined;
    this.#warn(`there is room on the disk again, after ${((nowMs - state.sinceMs) / 1000).toFixed(1)} s: writes go on`);
  }
}
