/** POST /db/request: reads and writes in one list. A list that only reads does not go through the log. */
import { collectBody } from "../body.ts";
import type { Exchange } from "../exchange.ts";
import type { MaybeReadOutcome } from "../../replica/mod.ts";
import { surelyWrites } from "../sql-text.ts";
import { parseStatements } from "../statements.ts";
import { formatOf, openReplica, sendOutcome } from "./database.ts";
import { readOptions, readRequest } from "./query.ts";

/** Runs the statements of the body in order; result i belongs to statement i. */
export async function handleRequest(exchange: Exchange): Promise<void> {
  const { app, params } = exchange;
  app.counters.http.requests++;
  const statements = parseStatements(await collectBody(exchange), app.options.limits.maxStatements);
  app.counters.http.request_stmts_rx += statements.length;
  const replica = openReplica(exchange);
  let outcome: MaybeReadOutcome = { kind: "writes" };
  let isDone = false;
  // Only SQLite knows for certain whether a list writes, but most that do are plain to see, and need not be asked for.
  if (!statements.some(({ sql }) => surelyWrites(sql))) {
    outcome = await replica.readUnlessWrite(readRequest(exchange, statements), readOptions(exchange));
  }
  if (outcome.kind === "writes") {
    isDone = true;
    outcome = await replica.write(
      {
        kind: "request",
        statements,
        transaction: params.transaction,
        dbTimeoutMs: params.dbTimeoutMs,
        format: formatOf(params),
        timings: params.timings,
      },
      { timeoutMs: params.level === "strong" ? params.timeoutMs : undefined },
    );
  }
  sendOutcome(exchange, outcome, isDone);
}
