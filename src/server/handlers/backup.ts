/** GET /db/backup: a copy of the database as a SQLite file or as SQL text, streamed as fast as the client reads it. */
import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { createGzip, constants } from "node:zlib";
import type { Exchange } from "../exchange.ts";
import { HttpError } from "../http-error.ts";
import type { Params } from "../params.ts";
import type { BackupRequest } from "../../replica/mod.ts";
import { openReplica } from "./database.ts";

/** Streams a backup in the format that is asked for. */
export async function handleBackup(exchange: Exchange): Promise<void> {
  const { app, params } = exchange;
  app.counters.http.backups++;
  const { maxBackups } = app.options.limits;
  if (app.backups >= maxBackups) {
    throw new HttpError(503, `too many backups at a time: the limit is ${String(maxBackups)} (-http-max-backups)`, ["Retry-After", "1"]);
  }
  if (params.vacuum && params.format !== "binary") throw new HttpError(500, "invalid backup format");
  const chunks = openReplica(exchange).backup(backupRequest(params));
  app.backups++;
  try {
    // A backup that cannot even begin is answered as an error; one that breaks later ends without its end, which the client sees.
    const first = await chunks.next();
    writeHead(exchange);
    await send(exchange.response, first, chunks, params.compress);
  } finally {
    await chunks.return();
    app.backups--;
  }
}

function writeHead(exchange: Exchange): void {
  const { app, params, response } = exchange;
  const type = params.format === "sql" ? "application/sql" : "application/octet-stream";
  response.writeHead(200, [...app.commonHeaders, ...exchange.servedBy(), "Content-Type", params.compress ? "application/gzip" : type]);
}

function backupRequest(params: Params): BackupRequest {
  if (params.format === "sql") return { format: "sql", tables: params.tables.length === 0 ? undefined : params.tables };
  return { format: "file", journalMode: params.format === "delete" ? "delete" : "wal", vacuum: params.vacuum };
}

type Chunks = AsyncGenerator<Uint8Array, void, void>;

async function send(
  response: ServerResponse,
  first: IteratorResult<Uint8Array, void>,
  chunks: Chunks,
  isCompressed: boolean,
): Promise<void> {
  const all = async function* (): AsyncGenerator<Uint8Array> {
    for (let next = first; next.done !== true; next = await chunks.next()) yield next.value;
  };
  // A pipeline reads on only when the client has taken what there is, and destroys the connection if the backup breaks off.
  if (isCompressed) await pipeline(all(), createGzip({ level: constants.Z_BEST_SPEED }), response);
  else await pipeline(all(), response);
}
