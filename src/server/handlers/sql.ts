/** GET and POST /db/sql: what rqlite would rewrite. Nothing is rewritten here, so each statement comes back as it was sent. */
import type { Exchange } from "../exchange.ts";
import { goSeconds, goString } from "../go-json.ts";
import { queryStatements } from "./query.ts";

/** Answers with each statement as sent and as run, which are the same. */
export async function handleSql(exchange: Exchange): Promise<void> {
  exchange.app.counters.http.sql_analyze++;
  const statements = await queryStatements(exchange);
  const results = statements.map(({ sql }) => `{"original":${goString(sql)},"rewritten":${goString(sql)}}`).join(",");
  exchange.sendJson(`{"results":[${results}],"time":${goSeconds(performance.now() - exchange.startedMs)}}`);
}
