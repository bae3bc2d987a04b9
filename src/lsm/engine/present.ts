/** The time by which rows expire, where stamps and the wall clock disagree. Milliseconds since 1970. */

/** Stamps may be ahead of the wall clock by this much and still be believed: those that are further ahead come from a clock that was wrong. */
const LEAD_MS_MAX = 60_000;

/**
 * For flushes and compactions: the newest stamp of the rows, so that they do the same whenever they run; the wall clock, if the stamp cannot be right,
 * as what expires here is gone for good.
 */
export function retentionTick(newestTick: number, wallMs: number): number {
  return newestTick - wallMs > LEAD_MS_MAX ? wallMs : newestTick;
}

/** For reads and new rows: the same, but never before the wall clock. What has expired does not come back when that is set back a little. */
export function presentMs(newestTick: number, wallMs: number): number {
  return Math.max(retentionTick(newestTick, wallMs), wallMs);
}
