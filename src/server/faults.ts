/** What a client is told when a request did not succeed, by the kind of fault. */
import { isPumiceError, type PumiceError } from "../base/mod.ts";
import { type Exchange, TEXT_TYPE } from "./exchange.ts";
import { ClientGone, HttpError } from "./http-error.ts";

/** How an endpoint tells of a fault of the database: inside the JSON answer with status 200, or as text with status 500. Both are rqlite's. */
export type FaultStyle = "envelope" | "text";

/** After an answer that refuses a body, so much of it is still read, so that the client is there to read the answer. */
const LINGER_BYTES = 64 * 1024 * 1024;
const LINGER_MS = 2000;

/** Answers with what `error` calls for. Nothing is sent twice: a fault after the headers ends the connection. */
export function sendFault(exchange: Exchange, error: unknown, style: FaultStyle): void {
  if (exchange.isAnswered) {
    exchange.response.destroy();
    return;
  }
  if (error instanceof ClientGone) {
    exchange.request.destroy();
  } else if (error instanceof HttpError) {
    sendHttpError(exchange, error);
  } else if (isPumiceError(error)) {
    sendPumiceError(exchange, error, style);
  } else {
    exchange.app.counters.http.panics++;
    exchange.app.parts.log(
      `http: a request failed inside the server: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    exchange.sendError(500, "internal error: see the log of the node");
  }
}

function sendHttpError(exchange: Exchange, error: HttpError): void {
  const { http } = exchange.app.counters;
  if (error.status === 400) http.bad_requests++;
  if (error.status === 413) http.too_large++;
  if (error.message === "") exchange.sendEmpty(error.status, error.headers);
  else if ((error.status === 413 || error.status === 503) && !exchange.request.complete) refuseBody(exchange, error);
  else exchange.sendError(error.status, error.message, error.headers);
}

function sendPumiceError(exchange: Exchange, error: PumiceError, style: FaultStyle): void {
  if (error.kind === "not-leader") {
    exchange.app.counters.http.leader_not_found++;
    exchange.sendError(exchange.params.redirect ? 500 : 503, "leader not found");
  } else if (style === "envelope") {
    exchange.sendEnvelope({ results: "", error: error.message, timeMs: exchange.elapsedMs() }, false);
  } else {
    exchange.sendError(500, error.message);
  }
}

/**
 * Sends the whole answer at once but ends it only when the client has stopped sending, or has sent or waited enough: closing
 * a socket with unread bytes would reset the connection, and the client would lose the answer.
 */
function refuseBody(exchange: Exchange, error: HttpError): void {
  const { request, response } = exchange;
  const text = `${error.message}\n`;
  const headers = [
    ...error.headers,
    "Content-Type",
    TEXT_TYPE,
    "X-Content-Type-Options",
    "nosniff",
    "Content-Length",
    String(Buffer.byteLength(text)),
    "Connection",
    "close",
  ];
  response.writeHead(error.status, [...exchange.app.commonHeaders, ...headers]);
  response.write(text);
  let seen = 0;
  const finish = (): void => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(finish, LINGER_MS);
  request.on("data", (chunk: Buffer) => {
    seen += chunk.length;
    if (seen > LINGER_BYTES) finish();
  });
  request.once("end", finish);
  request.once("error", finish);
  request.resume();
}
