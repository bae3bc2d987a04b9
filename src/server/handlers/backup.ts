/** GET /db/backup: a copy of the database as a SQLite file or as SQL text, streamed as fast as the client reads it. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { createGzip, constants } from "node:zlib";
import type { Exchange } from "../exchange.ts";
import { ClientGone, HttpError } from "../http-error.ts";
import { openReplica } from "./database.ts";

/** Streams a backup in the format that is asked for. */
export async function handleBackup(exchange: Exchange): Promise<void> {
  const { app, params } = exchange;
  app.counters.http.backups++;
  if (params.vacuum && params.format !== "binary") throw new HttpError(500, "invalid backup format");
  const { format, vacuum, tables } = params;
  const chunks = openReplica(exchange).backup({ format, vacuum, tables, signal: exchange.signal })[Symbol.asyncIterator]();
  try {
    // A backup that cannot even begin is answered as an error; one that breaks later ends without its end, which the client sees.
    const first = await chunks.next();
    writeHead(exchange);
    if (params.compress) await sendCompressed(exchange.response, first, chunks);
    else await sendPlain(exchange.response, first, chunks);
  } finally {
    await chunks.return?.();
  }
}

function writeHead(exchange: Exchange): void {
  const { app, params, response } = exchange;
  const type = params.format === "sql" ? "application/sql" : "application/octet-stream";
  response.writeHead(200, [...app.commonHeaders, ...exchange.servedBy(), "Content-Type", params.compress ? "application/gzip" : type]);
}

type Chunks = AsyncIterator<Uint8Array>;

async function sendPlain(response: ServerResponse, first: IteratorResult<Uint8Array>, chunks: Chunks): Promise<void> {
  for (let next = first; next.done !== true; next = await chunks.next()) {
    if (!response.write(next.value)) await Promise.race([once(response, "drain"), once(response, "close")]);
    if (response.destroyed) throw new ClientGone("the client went away during a backup");
  }
  response.end();
}

async function sendCompressed(response: ServerResponse, first: IteratorResult<Uint8Array>, chunks: Chunks): Promise<void> {
  const all = async function* (): AsyncGenerator<Uint8Array> {
    for (let next = first; next.done !== true; next = await chunks.next()) yield next.value;
  };
  await pipeline(all(), createGzip({ level: constants.Z_BEST_SPEED }), response);
}
