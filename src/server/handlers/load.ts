/** POST /db/load (a SQLite file, or SQL text) and POST /boot (a SQLite file): the upload is streamed, not held. */
import { collectStream, peekBody } from "../body.ts";
import type { Exchange } from "../exchange.ts";
import { HttpError } from "../http-error.ts";
import type { ReplicaPort } from "../replica-port.ts";
import { oneStatement, textOf } from "../statements.ts";
import { openReplica, sendOutcome } from "./database.ts";

/** The first bytes of every SQLite file. Source: sqlite.org, "Database File Format", 1.3.1. */
const SQLITE_MAGIC = Buffer.from("SQLite format 3\0", "latin1");

/** Replaces the database by the SQLite file in the body, or runs the SQL text in it as one script, wholly or not at all. */
export async function handleLoad(exchange: Exchange): Promise<void> {
  const { app, request } = exchange;
  app.counters.http.loads++;
  app.markStreamed(request);
  const body = await peekBody(request, SQLITE_MAGIC.length);
  const replica = openReplica(exchange);
  if (isSqlite(body.head)) {
    await load(exchange, replica, body.stream);
    exchange.sendEnvelope({ results: "", timeMs: exchange.elapsedMs() });
    return;
  }
  const text = await collectStream(exchange, body.stream);
  if (text.length === 0) throw new HttpError(400, "no statements");
  const statements = oneStatement(textOf(text));
  const outcome = await replica.write({
    kind: "execute",
    statements,
    transaction: true,
    script: true,
    timings: exchange.params.timings,
  });
  sendOutcome(exchange, outcome, true);
}

/** As a load of a SQLite file, and nothing else is taken. */
export async function handleBoot(exchange: Exchange): Promise<void> {
  const { app, request } = exchange;
  app.counters.http.boot++;
  app.markStreamed(request);
  const body = await peekBody(request, SQLITE_MAGIC.length);
  if (!isSqlite(body.head)) throw new HttpError(400, "invalid SQLite data");
  await load(exchange, openReplica(exchange), body.stream);
  exchange.sendEmpty(200);
}

/** @throws HttpError 400 if the file is refused: then nothing has changed */
async function load(exchange: Exchange, replica: ReplicaPort, file: AsyncIterable<Uint8Array>): Promise<void> {
  const outcome = await replica.load(file);
  if (outcome.kind === "error") throw new HttpError(400, outcome.error);
  exchange.app.parts.log("http: a SQLite file was loaded and replaced the database");
}

function isSqlite(head: Buffer): boolean {
  return head.subarray(0, SQLITE_MAGIC.length).equals(SQLITE_MAGIC);
}
