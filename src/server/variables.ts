/** What /debug/vars shows. */
import type { App } from "./app.ts";

/** Each variable by its name. */
export async function collectVariables(app: App): Promise<Record<string, unknown>> {
  return { cmdline: process.argv, memstats: process.memoryUsage(), http: app.counters.http, queue: app.counters.queue };
}
