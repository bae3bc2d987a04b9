/**
 * Trying again. Reads are repeated; a conditional put whose outcome is unknown is resolved by reading back, so that a lost answer
 * is never taken for a lost race, nor the other way round.
 */
import { abortable, eitherSignal, equalBytes, isPumiceError, type Clock, type ObjectStore } from "../../base/mod.ts";

/** How often and how long. */
export interface RetryPolicy {
  readonly clock: Clock;
  /** Attempts before the error is passed on. */
  readonly attemptsMax: number;
  readonly signal?: AbortSignal | undefined;
}

/** The policy for one call, which ends with `signal` too. */
export function withSignal(policy: RetryPolicy, signal: AbortSignal | undefined): RetryPolicy {
  return signal === undefined ? policy : { ...policy, signal: eitherSignal(policy.signal, signal) };
}

const FIRST_DELAY_MS = 50;
const DELAY_MAX_MS = 1000;

/**
 * Runs `action` until it succeeds, fails otherwise than by STORE_UNAVAILABLE, or has been tried `attemptsMax` times. An abort ends the wait at once,
 * also for a store that does not answer to one.
 */
export async function withRetry<T>(policy: RetryPolicy, action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    policy.signal?.throwIfAborted();
    try {
      return await abortable(action(), policy.signal);
    } catch (error) {
      if (!isPumiceError(error, "STORE_UNAVAILABLE") || attempt >= policy.attemptsMax) throw error;
      await policy.clock.sleep(Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** (attempt - 1)), { signal: policy.signal });
    }
  }
}

/**
 * How a put-if-absent ended: `created` for certain by us; `same`: an answer was lost and the object now holds exactly our bytes,
 * which may be another's who wrote the same; `taken` by other bytes, or by somebody before us.
 */
export type CreateOutcome = "created" | "same" | "taken";

/** Puts `body` under `key` unless something is there. @throws STORE_UNAVAILABLE after `attemptsMax` attempts: the outcome is open. */
export async function createObject(
  store: ObjectStore,
  policy: RetryPolicy,
  object: { key: string; body: Uint8Array },
): Promise<CreateOutcome> {
  let isAmbiguous = false;
  return await withRetry(policy, async () => {
    try {
      const result = await store.putIf(object.key, object.body, { kind: "absent" }, { signal: policy.signal });
      if (result.ok) return "created";
    } catch (error) {
      isAmbiguous ||= isPumiceError(error, "STORE_UNAVAILABLE");
      throw error;
    }
    if (!isAmbiguous) return "taken";
    const found = await store.get(object.key, { signal: policy.signal });
    return found !== undefined && equalBytes(found, object.body) ? "same" : "taken";
  });
}

/** Puts `body` under a key that `newKey` makes, another one if that is taken. Gives what `newKey` gave. @throws STORE_UNAVAILABLE */
export async function createUnderNewKey<T extends { readonly key: string }>(
  store: ObjectStore,
  policy: RetryPolicy,
  object: { body: Uint8Array; newKey: () => T },
): Promise<T> {
  for (;;) {
    const made = object.newKey();
    if ((await createObject(store, policy, { key: made.key, body: object.body })) !== "taken") return made;
  }
}
