/** An object store whose requests are counted: how many of which kind, how many failed, how long they took, how many bytes. What is counted is what is paid for. */
import type { Clock, Metric, ObjectMeta, ObjectStore } from "../../base/mod.ts";

/** Kinds of requests, as `ObjectStore` has them. */
const OPERATIONS = ["get", "getRange", "head", "list", "put", "putIf", "createFrom", "delete"] as const;
type Operation = (typeof OPERATIONS)[number];

/** What object stores ask the most for is what writes or lists, then what reads; deleting is free. */
const CLASSES: Readonly<Record<Operation, "write" | "read" | "free">> = {
  get: "read",
  getRange: "read",
  head: "read",
  list: "write",
  put: "write",
  putIf: "write",
  createFrom: "write",
  delete: "free",
};

/** Upper bounds of durations, seconds. */
const BOUNDS_S = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, Infinity] as const;

interface OperationCounts {
  requests: number;
  errors: number;
  seconds: number;
  /** By the bound that a duration is under; not cumulated. */
  readonly durations: number[];
}

/** Counts of one store, as plain data: they cross between threads. */
export type RequestCounts = Record<Operation, OperationCounts> & { bytesRead: number; bytesWritten: number };

/** Nothing asked yet. */
export function noRequests(): RequestCounts {
  const none = (): OperationCounts => ({ requests: 0, errors: 0, seconds: 0, durations: BOUNDS_S.map(() => 0) });
  const operations = Object.fromEntries(OPERATIONS.map((operation) => [operation, none()])) as Record<Operation, OperationCounts>;
  return { ...operations, bytesRead: 0, bytesWritten: 0 };
}

/** Adds what another counted. */
export function addRequests(target: RequestCounts, more: RequestCounts): void {
  for (const operation of OPERATIONS) {
    const [to, from] = [target[operation], more[operation]];
    to.requests += from.requests;
    to.errors += from.errors;
    to.seconds += from.seconds;
    for (const [i, count] of from.durations.entries()) to.durations[i] = (to.durations[i] ?? 0) + count;
  }
  target.bytesRead += more.bytesRead;
  target.bytesWritten += more.bytesWritten;
}

/** `store`, what is asked of it counted in `counts`. A request that its caller gave up is no error. */
export function countedStore(store: ObjectStore, counts: RequestCounts, clock: Pick<Clock, "monotonic">): ObjectStore {
  const finish = (operation: OperationCounts, startedMs: number): void => {
    const seconds = (clock.monotonic() - startedMs) / 1000;
    operation.seconds += seconds;
    const bucket = BOUNDS_S.findIndex((bound) => seconds <= bound);
    operation.durations[bucket] = (operation.durations[bucket] ?? 0) + 1;
  };
  const timed = async <T>(name: Operation, signal: AbortSignal | undefined, ask: () => Promise<T>): Promise<T> => {
    const operation = counts[name];
    const startedMs = clock.monotonic();
    operation.requests++;
    try {
      return await ask();
    } catch (error) {
      if (signal?.aborted !== true) operation.errors++;
      throw error;
    } finally {
      finish(operation, startedMs);
    }
  };
  const read = <T extends Uint8Array | undefined>(bytes: T): T => {
    counts.bytesRead += bytes?.length ?? 0;
    return bytes;
  };
  const written = async function* (parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const part of parts) {
      counts.bytesWritten += part.length;
      yield part;
    }
  };
  return {
    get: async (key, options) => read(await timed("get", options?.signal, async () => await store.get(key, options))),
    getRange: async (key, range, options) =>
      read(await timed("getRange", options?.signal, async () => await store.getRange(key, range, options))),
    head: async (key, options) => await timed("head", options?.signal, async () => await store.head(key, options)),
    async *list(prefix, options): AsyncGenerator<ObjectMeta> {
      const startedMs = clock.monotonic();
      counts.list.requests++;
      try {
        yield* store.list(prefix, options);
      } catch (error) {
        if (options?.signal?.aborted !== true) counts.list.errors++;
        throw error;
      } finally {
        finish(counts.list, startedMs);
      }
    },
    put: async (key, body, options) => {
      counts.bytesWritten += body.length;
      return await timed("put", options?.signal, async () => await store.put(key, body, options));
    },
    putIf: async (key, body, condition, options) => {
      counts.bytesWritten += body.length;
      return await timed("putIf", options?.signal, async () => await store.putIf(key, body, condition, options));
    },
    // Its duration is also that of making the parts.
    createFrom: async (key, parts, options) =>
      await timed("createFrom", options?.signal, async () => await store.createFrom(key, written(parts), options)),
    delete: async (key, options) => await timed("delete", options?.signal, async () => await store.delete(key, options)),
  };
}

/** The counts as metrics. `storeType` tells the WAL's store from the other. */
export function requestMetrics(counts: RequestCounts, storeType: "main" | "wal"): Metric[] {
  const metrics: Metric[] = [];
  for (const operation of OPERATIONS) {
    const { requests, errors, seconds, durations } = counts[operation];
    const op = operation.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const labels = { op, class: CLASSES[operation], store_type: storeType };
    metrics.push({ name: "object_store.request_count", kind: "counter", help: "requests of the object store", labels, value: requests });
    metrics.push({ name: "object_store.error_count", kind: "counter", help: "requests that failed", labels, value: errors });
    let below = 0;
    const buckets = BOUNDS_S.map((le, i) => ({ le, count: (below += durations[i] ?? 0) }));
    const help = "how long requests took, a listing to its end";
    metrics.push({ name: "object_store.request_duration_seconds", kind: "histogram", help, labels, count: below, sum: seconds, buckets });
  }
  const labels = { store_type: storeType };
  const { bytesRead, bytesWritten } = counts;
  metrics.push({ name: "object_store.bytes_read", kind: "counter", help: "bytes of objects that came", labels, value: bytesRead });
  metrics.push({
    name: "object_store.bytes_written",
    kind: "counter",
    help: "bytes of objects that were sent",
    labels,
    value: bytesWritten,
  });
  return metrics;
}
