/** What /debug/vars shows: what this server and its replica count, and what the process uses. */
import type { App } from "./app.ts";
import { replicaVariables } from "./store-status.ts";

/** Each variable by its name. */
export async function collectVariables(app: App): Promise<Record<string, unknown>> {
  const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
  return {
    cmdline: process.argv,
    memstats: { rss, heap_total: heapTotal, heap_used: heapUsed, external, array_buffers: arrayBuffers },
    http: app.counters.http,
    queue: app.counters.queue,
    ...(await replicaVariables(app.parts.replica())),
  };
}
