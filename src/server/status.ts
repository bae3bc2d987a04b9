/** What /status shows. */
import type { App } from "./app.ts";

/** The whole document. */
export async function collectStatus(app: App): Promise<Record<string, unknown>> {
  return { http: { queue: { _default: app.queue.status() } } };
}
