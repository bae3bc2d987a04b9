/** What the server is told: settings (numbers and texts) apart from the parts that it is given. */
import { assert } from "../base/mod.ts";
import type { ReplicaPort } from "./replica-port.ts";

/** Bounds on what a client may cost. All of them answer with a text that names the bound and its flag. */
export interface Limits {
  /** Largest body of a request that is parsed as a whole, bytes. Default: 64 MiB. A SQLite file being loaded is streamed and not bound by it. */
  readonly maxBodyBytes: number;
  /** Most statements in one request. Default: 100,000. */
  readonly maxStatements: number;
  /** Largest result of one request, bytes. Default: 256 MiB. */
  readonly maxResultBytes: number;
  /** Memory that large bodies and answers may take together, bytes. Default: 1 GiB. */
  readonly maxMemoryBytes: number;
  /** Most connections at a time. Default: 4096. */
  readonly maxConnections: number;
  /** Most backups under way: each has a thread and, unless it is SQL text, a copy of the database. Default: 4. */
  readonly maxBackups: number;
  /** Longest time for the headers of a request, ms. Default: 10,000. */
  readonly headerTimeoutMs: number;
  /** Longest time for the body of a request; a streamed body may take longer as long as bytes keep coming, ms. Default: 60,000. */
  readonly bodyTimeoutMs: number;
  /** How long an idle connection is kept, ms. Default: 120,000. */
  readonly idleTimeoutMs: number;
  /** How long `close` waits for requests that run, ms. Default: 10,000. */
  readonly closeTimeoutMs: number;
}

/** The limits by default. */
export const DEFAULT_LIMITS: Limits = {
  maxBodyBytes: 64 * 1024 * 1024,
  maxStatements: 100_000,
  maxResultBytes: 256 * 1024 * 1024,
  maxMemoryBytes: 1024 * 1024 * 1024,
  maxConnections: 4096,
  maxBackups: 4,
  headerTimeoutMs: 10_000,
  bodyTimeoutMs: 60_000,
  idleTimeoutMs: 120_000,
  closeTimeoutMs: 10_000,
};

/** The queue of writes that are answered before they are done. */
export interface QueueOptions {
  /** Requests that may wait. Default: 1024. */
  readonly capacity: number;
  /** Bytes of request bodies that may wait. Default: 64 MiB; one request always fits. */
  readonly capacityBytes: number;
  /** Statements that make a batch. Default: 128. */
  readonly batchSize: number;
  /** Longest time in the queue before a batch is written, ms. Default: 50. */
  readonly timeoutMs: number;
  /** Each batch is one transaction, from which requests that fail are taken out. Default: false. */
  readonly transaction: boolean;
}

/** The queue by default. */
export const DEFAULT_QUEUE: QueueOptions = {
  capacity: 1024,
  capacityBytes: 64 * 1024 * 1024,
  batchSize: 128,
  timeoutMs: 50,
  transaction: false,
};

/** Files for HTTPS, in PEM. They are read again when they change. */
export interface TlsOptions {
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities that may sign clients' certificates; undefined: the system's. */
  readonly caFile?: string | undefined;
  /** Refuse clients without a certificate that an authority signed. */
  readonly verifyClient: boolean;
}

/** Settings of the HTTP server. */
export interface ServerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** `host:port` told to others; default: where it listens. */
  readonly advertisedAddress?: string | undefined;
  /** Access-Control-Allow-Origin; undefined or empty: not sent. */
  readonly allowOrigin?: string | undefined;
  /** rqlite's credentials file; undefined: everybody may do everything. */
  readonly authFile?: string | undefined;
  readonly tls?: TlsOptions | undefined;
  /** Ends a read that does not say by `db_timeout` how long it may take, ms. Default: none. */
  readonly readTimeoutMs?: number | undefined;
  /** The largest `db_timeout` of a read: a few long ones would keep every reader for themselves. Unit: ms. Default: no bound. */
  readonly readTimeoutMsMax?: number | undefined;
  readonly limits: Limits;
  readonly queue: QueueOptions;
}

/** The program and its directory, for headers and /status. Who the node is in its cluster is the replica's to tell. */
export interface ProgramDescription {
  readonly version: string;
  readonly dataDirectory: string;
}

/** Writes one line of the log. No secrets, no SQL parameters. */
export type LogLine = (line: string) => void;

/** What the server works with. */
export interface ServerParts {
  /** Undefined until the store is open. */
  readonly replica: () => ReplicaPort | undefined;
  readonly node: ProgramDescription;
  readonly log: LogLine;
}

/** @throws AssertionError: the numbers come from flags, which were checked, or from a program. */
export function validateOptions(options: ServerOptions): void {
  for (const value of Object.values(options.limits)) assert(Number.isFinite(value) && value > 0, "a limit of the server is positive");
  const { capacity, capacityBytes, batchSize, timeoutMs } = options.queue;
  for (const value of [capacity, capacityBytes, batchSize, timeoutMs])
    assert(Number.isFinite(value) && value > 0, "a bound of the queue is positive");
}
