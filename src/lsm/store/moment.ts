/** How long ago something was, by whichever clock says more: the steady one stands still while a machine sleeps, the wall clock may be set. */
import type { Clock } from "../../base/mod.ts";

/** A moment, by both clocks. */
export interface Moment {
  readonly wallMs: number;
  readonly steadyMs: number;
}

/** Now. */
export function momentOf(clock: Pick<Clock, "now" | "monotonic">): Moment {
  return { wallMs: clock.now(), steadyMs: clock.monotonic() };
}

/** Milliseconds since `moment`: at least as many as have passed, except that a wall clock set back during a sleep may hide it. */
export function msSince(moment: Moment, clock: Pick<Clock, "now" | "monotonic">): number {
  return Math.max(Math.abs(clock.now() - moment.wallMs), clock.monotonic() - moment.steadyMs);
}
