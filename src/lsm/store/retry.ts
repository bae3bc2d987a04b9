/**
 * Trying again. Reads are repeated; a conditional put whose outcome is unknown is resolved by reading back, so that a lost answer
 * is never taken for a lost race, nor the other way round.
 */
import { abortable, eitherSignal, equalBytes, isPumiceError, type Clock, type ObjectStore, type PumiceError } from "../../base/mod.ts";

/** How often and how long. */
export interface RetryPolicy {
  readonly clock: Clock;
  /** Attempts before the error is passed on. */
  readonly attemptsMax: number;
  readonly signal?: AbortSignal | undefined;
  /** Hears why something is tried again, and undefined when that has succeeded. */
  readonly onTrouble?: ((error: PumiceError | undefined) => void) | undefined;
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
      const result = await abortable(action(), policy.signal);
      if (attempt > 1) policy.onTrouble?.(undefined);
      return result;
    } catch (error) {
      if (!isPumiceError(error, "STORE_UNAVAILABLE") || attempt >= policy.attemptsMax) throw error;
      policy.onTrouble?.(error);
      await policy.clock.sleep(Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** (attempt - 1)), { signal: policy.signal });
    }
  }
}

/**
 * How a put-if-absent ended: `created` for certain by us; `same`: an answer was lost and the object now holds exactly our bytes,
 * which another writer may have written, the same by chance; `taken`: there are other bytes, or were before.
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

/** An object that is made while it is being stored. */
export interface StreamedObject {
  /** Read once, from its beginning. */
  readonly parts: AsyncIterable<Uint8Array>;
  /** What all parts came to, once they were read to their end. */
  readonly made: { readonly sizeBytes: number; readonly lastPart: Uint8Array } | undefined;
  /** What reading them failed with. */
  readonly failure: { readonly error: unknown } | undefined;
}

/**
 * Creates an object under a key that `newKey` makes, from parts that are made meanwhile. Where an attempt's outcome is open, the store is asked what is there;
 * if it is not the object, `make` makes it once more, under another key: a key is never used twice, as what was given up may still arrive. Gives what
 * `newKey` gave and the object that was stored. @throws STORE_UNAVAILABLE, and what making fails with
 */
export async function streamUnderNewKey<T extends { readonly key: string }, S extends StreamedObject>(
  store: ObjectStore,
  policy: RetryPolicy,
  object: { readonly newKey: () => T; readonly make: () => S },
): Promise<{ readonly name: T; readonly made: S }> {
  for (let attempt = 1; ; attempt++) {
    policy.signal?.throwIfAborted();
    const name = object.newKey();
    const made = object.make();
    try {
      const result = await abortable(store.createFrom(name.key, made.parts, { signal: policy.signal }), policy.signal);
      if (result.ok) return { name, made };
    } catch (error) {
      if (made.failure !== undefined) throw made.failure.error;
      if (!isPumiceError(error, "STORE_UNAVAILABLE")) throw error;
      if (await isStored(store, policy, { key: name.key, made: made.made })) return { name, made };
      if (attempt >= policy.attemptsMax) throw error;
      await policy.clock.sleep(Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt - 1, 10)), { signal: policy.signal });
    }
  }
}

/** True if the object is there. Nobody else has ever had its key: size and end tell. */
async function isStored(
  store: ObjectStore,
  policy: RetryPolicy,
  { key, made }: { readonly key: string; readonly made: StreamedObject["made"] },
): Promise<boolean> {
  // What was not read to its end cannot have been stored.
  if (made === undefined) return false;
  const { sizeBytes, lastPart } = made;
  return await withRetry(policy, async () => {
    const meta = await store.head(key, { signal: policy.signal });
    if (meta?.sizeBytes !== sizeBytes) return false;
    const end = await store.getRange(key, { start: sizeBytes - lastPart.length, end: sizeBytes }, { signal: policy.signal, isFresh: true });
    return end !== undefined && equalBytes(end, lastPart);
  });
}
