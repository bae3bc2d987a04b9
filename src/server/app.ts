/** What every handler shares: settings, parts, counters and the headers that are the same on every answer. */
import type { IncomingMessage } from "node:http";
import type { Credentials } from "./auth.ts";
import type { Counters } from "./counters.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import type { ServerOptions, ServerParts } from "./options.ts";
import type { WriteQueue } from "./queue.ts";

/** One running server, as its handlers see it. */
export interface App {
  readonly options: ServerOptions;
  readonly parts: ServerParts;
  readonly counters: Counters;
  readonly queue: WriteQueue;
  /** Of large bodies and answers. */
  readonly memory: MemoryBudget;
  /** Undefined: everybody may do everything. */
  readonly credentials: Credentials | undefined;
  /** Name and value in turn: what every answer begins with. */
  readonly commonHeaders: readonly string[];
  /** `host:port` told to others; known once the server listens. */
  readonly advertisedAddress: () => string;
  /** `host:port` where the server listens, once it does. */
  readonly boundAddress: () => string;
  /** Connections that are open. */
  readonly connectionCount: () => number;
  /** The name in a Host header if this node is not called so. */
  readonly strangerIn: (host: string | undefined) => string | undefined;
  /** Backups under way. */
  backups: number;
  /** The body of this request is streamed: it may take long, as long as bytes keep coming. */
  readonly markStreamed: (request: IncomingMessage) => void;
  /** Milliseconds since 1970 when the server was created. */
  readonly startedMs: number;
}

/** The headers of every answer, in rqlite's order. */
export function commonHeaders(options: ServerOptions, version: string): string[] {
  const headers = ["X-RQLITE-VERSION", version];
  if (options.allowOrigin !== undefined && options.allowOrigin !== "") headers.push("Access-Control-Allow-Origin", options.allowOrigin);
  headers.push("Access-Control-Allow-Methods", "OPTIONS, GET, POST");
  if (options.authFile === undefined) {
    headers.push("Access-Control-Allow-Headers", "Content-Type");
  } else {
    headers.push("Access-Control-Allow-Headers", "Content-Type, Authorization", "Access-Control-Allow-Credentials", "true");
    headers.push("WWW-Authenticate", 'Basic realm="rqlite"');
  }
  return headers;
}

/** `http` or `https`, as this server speaks it. */
export function scheme(options: ServerOptions): "http" | "https" {
  return options.tls === undefined ? "http" : "https";
}
