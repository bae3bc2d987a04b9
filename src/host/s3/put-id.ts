/**
 * The name of one conditional write, kept as metadata of the object (`slatedbputid`, as SlateDB does it): when an attempt's answer was
 * lost and the next is told that the condition fails, it tells whether the object there is our own. The bytes cannot tell: two writers
 * may write the same ones.
 */
import type { Clock, Random } from "../../base/mod.ts";

/** The header that carries it. */
export const PUT_ID_HEADER = "x-amz-meta-slatedbputid";

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A ULID: 10 digits of time, 16 of randomness. */
export function newPutId(clock: Pick<Clock, "now">, random: Random): string {
  let time = Math.max(0, Math.floor(clock.now()));
  let digits = "";
  for (let i = 0; i < 10; i++) {
    digits = (CROCKFORD[time % 32] as string) + digits;
    time = Math.floor(time / 32);
  }
  for (let i = 0; i < 16; i++) digits += CROCKFORD[random.u32() & 31] as string;
  return digits;
}
