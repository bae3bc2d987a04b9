/** GET /status: everything that is known of this node, in rqlite's names. */
import type { Exchange } from "../exchange.ts";
import { goJson } from "../go-json.ts";
import { collectStatus } from "../status.ts";

/** The document, or with `key` (dotted) a part of it, `{}` if there is none. */
export async function handleStatus(exchange: Exchange): Promise<void> {
  exchange.app.counters.http.num_status++;
  const status = await collectStatus(exchange.app);
  const { key } = exchange.params;
  exchange.sendJson(goJson(key === undefined || key === "" ? status : (partOf(status, key) ?? {})));
}

function partOf(document: unknown, key: string): unknown {
  let part = document;
  for (const name of key.split(".")) {
    if (typeof part !== "object" || part === null || !Object.hasOwn(part, name)) return undefined;
    part = (part as Readonly<Record<string, unknown>>)[name];
  }
  return part;
}
