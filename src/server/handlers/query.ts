/** GET and POST /db/query: statements that read. */
import { collectBody } from "../body.ts";
import type { Exchange } from "../exchange.ts";
import { HttpError } from "../http-error.ts";
import type { Statement } from "../../sql/mod.ts";
import type { ReadOptions, ReadRequest } from "../../replica/mod.ts";
import type { ServerOptions } from "../options.ts";
import { oneStatement, parseStatements, textOf } from "../statements.ts";
import { formatOf, isPlainText, openReplica, sendOutcome } from "./database.ts";

/** Reads at the level that is asked for and answers with the rows. */
export async function handleQuery(exchange: Exchange): Promise<void> {
  const { app } = exchange;
  app.counters.http.queries++;
  const statements = await queryStatements(exchange);
  app.counters.http.query_stmts_rx += statements.length;
  const outcome = await openReplica(exchange).read(readRequest(exchange, statements), readOptions(exchange));
  sendOutcome(exchange, outcome);
}

/** The statements of a request that reads: `q` of a GET, the body of a POST. @throws HttpError */
export async function queryStatements(exchange: Exchange): Promise<Statement[]> {
  if (exchange.request.method === "GET") {
    const { q } = exchange.params;
    if (q === undefined) throw new HttpError(400, "query not specified");
    return oneStatement(q);
  }
  const body = await collectBody(exchange);
  if (isPlainText(exchange)) return oneStatement(textOf(body));
  return parseStatements(body, exchange.app.options.limits.maxStatements);
}

/** How its answer is waited for: `timeout` bounds the way of a strong read through the log. */
export function readOptions(exchange: Exchange): ReadOptions {
  const { params, signal } = exchange;
  return params.level === "strong" ? { signal, timeoutMs: params.timeoutMs } : { signal };
}

/** How long a read may take: what it asks for, up to the operator's bound; undefined: for ever. */
function readTimeoutMs(asked: number | undefined, { readTimeoutMs, readTimeoutMsMax = Infinity }: ServerOptions): number | undefined {
  const ms = Math.min(asked ?? readTimeoutMs ?? Infinity, readTimeoutMsMax);
  return ms === Infinity ? undefined : ms;
}

/** What the replica is asked for. */
export function readRequest(exchange: Exchange, statements: readonly Statement[]): ReadRequest {
  const { params } = exchange;
  return {
    statements,
    level: params.level,
    freshnessMs: params.freshnessMs,
    freshnessStrict: params.freshnessStrict,
    linearizableTimeoutMs: params.linearizableTimeoutMs,
    dbTimeoutMs: readTimeoutMs(params.dbTimeoutMs, exchange.app.options),
    transaction: params.transaction,
    format: formatOf(params),
    timings: params.timings,
    resultBytesMax: exchange.app.options.limits.maxResultBytes,
  };
}
