/** POST /db/execute: statements that write, at once or through the queue. */
import { collectBody } from "../body.ts";
import type { Exchange } from "../exchange.ts";
import { HttpError } from "../http-error.ts";
import type { QueueOutcome } from "../queue-writer.ts";
import { isBlankSql } from "../../sql/mod.ts";
import { oneStatement, parseStatements, textOf } from "../statements.ts";
import type { Statement } from "../../sql/mod.ts";
import { DEFAULT_TIMEOUT_MS, formatOf, isPlainText, openReplica, sendOutcome } from "./database.ts";

/** Writes the statements of the body and answers with their results, or at once if the write is queued. */
export async function handleExecute(exchange: Exchange): Promise<void> {
  const { app, params } = exchange;
  app.counters.http.executions++;
  const body = await collectBody(exchange);
  if (params.queue) {
    await enqueue(exchange, body);
    return;
  }
  const statements = statementsOf(exchange, body);
  app.counters.http.execute_stmts_rx += statements.length;
  const outcome = await openReplica(exchange).write({
    kind: "execute",
    statements,
    transaction: params.transaction,
    dbTimeoutMs: params.dbTimeoutMs,
    format: formatOf(params),
    timings: params.timings,
  });
  sendOutcome(exchange, outcome, true);
}

function statementsOf(exchange: Exchange, body: Buffer): Statement[] {
  if (isPlainText(exchange)) return oneStatement(textOf(body));
  return parseStatements(body, exchange.app.options.limits.maxStatements);
}

async function enqueue(exchange: Exchange, body: Buffer): Promise<void> {
  const { app, params } = exchange;
  const { http } = app.counters;
  // With `wait` a body without statements is a barrier; without it, a mistake.
  const isBarrier = params.wait && isEmptyBody(body);
  const statements = isBarrier ? [] : statementsOf(exchange, body);
  http.queued_executions++;
  http.queued_executions_num_stmts_rx += statements.length;
  if (params.wait) http.queued_executions_wait++;
  const deadlineMs = params.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const accepted = await app.queue.submit(
    {
      statements: statements.filter((statement) => !isBlankSql(statement.sql)),
      sizeBytes: body.length,
      format: params.wait ? formatOf(params) : undefined,
      dbTimeoutMs: params.dbTimeoutMs,
      transaction: params.transaction,
    },
    deadlineMs,
  );
  if (!params.wait) {
    exchange.sendEnvelope({ results: "", sequenceNumber: accepted.sequence, timeMs: exchange.elapsedMs() });
    return;
  }
  const outcome = await withDeadline(accepted.done, deadlineMs - (performance.now() - exchange.startedMs));
  if (outcome === undefined) {
    http.queued_executions_wait_timeout++;
    throw new HttpError(408, "queue wait timeout");
  }
  exchange.sendEnvelope({
    results: outcome.results,
    error: outcome.error,
    timeMs: exchange.elapsedMs(),
    sequenceNumber: accepted.sequence,
    raftIndex: params.raftIndex ? outcome.raftIndex : undefined,
    isDone: true,
  });
}

function isEmptyBody(body: Buffer): boolean {
  return body.length <= MAX_EMPTY && ["", "[]", "null"].includes(body.toString("latin1").trim());
}

const MAX_EMPTY = 64;

/** The outcome, or undefined if it takes longer. */
function withDeadline(done: Promise<QueueOutcome>, ms: number): Promise<QueueOutcome | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(
      () => {
        resolve(undefined);
      },
      Math.max(ms, 0),
    );
    void done.then((outcome) => {
      clearTimeout(timer);
      resolve(outcome);
    });
  });
}
