/**
 * The connections of the server: how many there may be, how long a client may take to say what it wants, and how they end.
 *
 * Invariants: (1) never more than `maxConnections` sockets are served; (2) a request whose headers or body do not come in
 * time is answered 408 and its connection closed, so a client that trickles holds nothing for long, and a client that takes nothing of its answer loses
 * its connection; (3) of the requests that a client sends without waiting for answers, `PIPELINED_MAX` are under way; (4) one timer for all
 * connections, none per request.
 */
import { STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Counters } from "./counters.ts";
import type { Limits } from "./options.ts";

/** How often the connections are looked at, ms. */
const SWEEP_MS = 500;

/** How long a refused client may take to read why, ms. */
const REFUSAL_MS = 1000;

/** Headers that come in, of all connections together, in bytes; and those that are too small to matter. */
const HEADS_BYTES_MAX = 64 * 1024 * 1024;
const SMALL_HEAD_BYTES = 16 * 1024;

/** Beyond this many over the limit, connections are closed without a word. */
const REFUSAL_ROOM = 64;

/** A request that is being answered. */
export interface Running {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** By performance.now(). */
  readonly startedMs: number;
  /** Its client may be gone: ends what only that client wants. */
  abandon(): void;
}

/** A connection that has said nothing for so long has nothing to ask, and gives way before idle ones do, ms. */
const NEWCOMER_MS = 1000;

/** Requests of one connection that are served at a time; more wait for these. */
const PIPELINED_MAX = 16;

/** What a connection is about. */
interface Connection {
  /** Requests under way. */
  count: number;
  /** Requests that wait for these, in order. */
  readonly waiting: (() => void)[];
  /** By performance.now(). */
  readonly acceptedMs: number;
  /** What the socket had sent when it was last looked at, and since when it has been the same. */
  bytesWritten: number;
  writtenMs: number;
  /** The last request that came; undefined before the first. */
  running: Running | undefined;
  /** The client had closed its side when the connection was last looked at. */
  isHalfClosed: boolean;
  /** By performance.now(). */
  startedMs: number;
  /** The body may take long, as long as bytes keep coming. */
  isStreamed: boolean;
  bytesSeen: number;
  /** What had come when the last request was complete in its headers: what has come since is a request in the making. */
  bytesBefore: number;
}

const NEW_CONNECTION = {
  count: 0,
  running: undefined,
  isHalfClosed: false,
  startedMs: 0,
  isStreamed: false,
  bytesSeen: 0,
  bytesBefore: 0,
  bytesWritten: 0,
  writtenMs: 0,
} as const;

/** What the connections work with. */
export interface ConnectionsParts {
  readonly limits: Limits;
  readonly counters: Counters;
  readonly isSecure: boolean;
  /** Name and value in turn: what every answer begins with. */
  readonly commonHeaders: readonly string[];
}

/** Watches over the connections of one server. */
export class Connections {
  readonly #server: Server;
  readonly #limits: Limits;
  readonly #counters: Counters;
  readonly #commonHeaders: readonly string[];
  readonly #open = new Map<Socket, Connection>();
  readonly #timer: NodeJS.Timeout;
  #running = 0;
  #onIdle: (() => void) | undefined;

  constructor(server: Server, parts: ConnectionsParts) {
    const { limits } = parts;
    this.#server = server;
    this.#limits = limits;
    this.#counters = parts.counters;
    this.#commonHeaders = parts.commonHeaders;
    server.maxConnections = limits.maxConnections + REFUSAL_ROOM;
    server.headersTimeout = limits.headerTimeoutMs;
    server.requestTimeout = 0;
    // A client may close its side as soon as it has asked, and still read the answer. Node's own switch, absent from its types.
    (server as { httpAllowHalfOpen?: boolean }).httpAllowHalfOpen = true;
    server.keepAliveTimeout = limits.idleTimeoutMs;
    server.on(parts.isSecure ? "secureConnection" : "connection", (socket: Socket) => {
      this.#accept(socket);
    });
    this.#timer = setInterval(() => {
      this.#sweep();
    }, SWEEP_MS);
    this.#timer.unref();
  }

  /** Connections that are open. */
  get count(): number {
    return this.#open.size;
  }

  /** Notes that a request has come. False if its connection was refused: then nothing must be done for it. */
  begin(running: Running): boolean {
    const connection = this.#open.get(running.request.socket);
    if (connection === undefined) return false;
    this.#running++;
    connection.count++;
    running.response.on("close", () => this.#ended(connection));
    connection.running = running;
    connection.startedMs = running.startedMs;
    connection.bytesBefore = running.request.socket.bytesRead;
    connection.isStreamed = false;
    return true;
  }

  /** Runs `serve` for a request that has begun: now, or when earlier ones of its connection have been answered. */
  whenItsTurn(request: IncomingMessage, serve: () => void): void {
    const connection = this.#open.get(request.socket);
    if (connection === undefined || connection.count <= PIPELINED_MAX) serve();
    else connection.waiting.push(serve);
  }

  /** The body of this request is streamed: only silence ends it. */
  markStreamed(request: IncomingMessage): void {
    const connection = this.#open.get(request.socket);
    if (connection === undefined) return;
    connection.isStreamed = true;
    connection.bytesSeen = request.socket.bytesRead;
  }

  /** Stops accepting, lets requests that run finish, then closes what is left; no later than the close timeout. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    this.#server.closeIdleConnections();
    if (this.#running > 0) await this.#drain();
    clearInterval(this.#timer);
    this.#server.closeAllConnections();
    for (const socket of this.#open.keys()) socket.destroy();
    await closed;
  }

  /** Answers below HTTP's request machinery, which has no request to answer here, and closes the connection. */
  refuse(socket: Duplex, status: number, text: string): void {
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    const headers = [...this.#commonHeaders, "Content-Type", "text/plain; charset=utf-8", "X-Content-Type-Options", "nosniff"];
    if (status === 503) headers.push("Retry-After", "1");
    headers.push("Content-Length", String(Buffer.byteLength(text) + 1), "Connection", "close");
    let head = `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? "Error"}\r\n`;
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i] as string}: ${headers[i + 1] as string}\r\n`;
    socket.end(`${head}\r\n${text}\n`);
    // Not at once: a socket that is closed with unread bytes resets the connection, and the answer is lost.
    setTimeout(() => {
      socket.destroy();
    }, REFUSAL_MS).unref();
  }

  #ended(connection: Connection): void {
    this.#running--;
    connection.count--;
    connection.waiting.shift()?.();
    if (this.#running === 0) this.#onIdle?.();
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#limits.closeTimeoutMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        // The answers are handed to the sockets; let them out before the sockets are closed.
        setImmediate(resolve);
      };
    });
  }

  #accept(socket: Socket): void {
    if (this.#open.size >= this.#limits.maxConnections && !this.#makeRoom()) {
      this.#counters.http.connections_refused++;
      this.refuse(socket, 503, `too many connections: the limit is ${String(this.#limits.maxConnections)} (-http-max-conns)`);
      return;
    }
    this.#counters.http.connections_accepted++;
    this.#open.set(socket, { ...NEW_CONNECTION, waiting: [], acceptedMs: performance.now() });
    socket.once("close", () => {
      this.#open.delete(socket);
    });
  }

  /** Closes the connection that can best be spared: the oldest of those that never asked for anything, or else of the idle ones. False if there is none. */
  #makeRoom(): boolean {
    const silentSince = performance.now() - NEWCOMER_MS;
    let spared: Socket | undefined;
    for (const [socket, { running, acceptedMs }] of this.#open) {
      if (socket.destroyed || (running === undefined && acceptedMs > silentSince)) continue;
      if (running === undefined) {
        spared = socket;
        break;
      }
      if (spared === undefined && running.response.writableFinished) spared = socket;
    }
    if (spared === undefined) return false;
    // It leaves the map at once: the event that says so comes in a later turn.
    this.#open.delete(spared);
    spared.destroy();
    return true;
  }

  #sweep(): void {
    const now = performance.now();
    this.#boundHeads();
    for (const [socket, connection] of this.#open) {
      const { running } = connection;
      if (running === undefined || running.response.writableFinished) continue;
      if (!running.request.complete) this.#sweepBody(socket, connection, now);
      else if (socket.readableEnded) abandonLater(connection, running);
      this.#sweepAnswer(socket, connection, now);
    }
  }

  /** A client that takes nothing of what waits for it holds memory and, by a backup, a state of the database. */
  #sweepAnswer(socket: Socket, connection: Connection, now: number): void {
    if (socket.writableLength === 0 || socket.bytesWritten - socket.writableLength !== connection.bytesWritten) {
      connection.bytesWritten = socket.bytesWritten - socket.writableLength;
      connection.writtenMs = now;
    } else if (now - connection.writtenMs >= this.#limits.bodyTimeoutMs) {
      this.#counters.http.timeouts++;
      socket.destroy();
    }
  }

  /** Headers in the making are held by the parser: when all of them together are too large, the largest go. */
  #boundHeads(): void {
    const heads: { readonly socket: Socket; readonly bytes: number }[] = [];
    let sum = 0;
    for (const [socket, { running, bytesBefore }] of this.#open) {
      if (running !== undefined && !running.response.writableFinished) continue;
      const bytes = socket.bytesRead - bytesBefore;
      sum += bytes;
      if (bytes > SMALL_HEAD_BYTES) heads.push({ socket, bytes });
    }
    if (sum <= HEADS_BYTES_MAX) return;
    heads.sort((left, right) => right.bytes - left.bytes);
    for (const { socket, bytes } of heads) {
      if (sum <= HEADS_BYTES_MAX) return;
      sum -= bytes;
      this.#counters.http.connections_refused++;
      socket.destroy();
    }
  }

  #sweepBody(socket: Socket, connection: Connection, now: number): void {
    if (now - connection.startedMs < this.#limits.bodyTimeoutMs) return;
    if (connection.isStreamed && socket.bytesRead !== connection.bytesSeen) {
      connection.bytesSeen = socket.bytesRead;
      connection.startedMs = now;
      return;
    }
    this.#counters.http.timeouts++;
    if (connection.running?.response.headersSent === true) socket.destroy();
    else this.refuse(socket, 408, "the body of the request did not come in time");
  }
}

/** A client that closed its side may have left, or may wait for its answer: nobody can tell. It gets one more round of the timer. */
function abandonLater(connection: Connection, running: Running): void {
  if (connection.isHalfClosed) running.abandon();
  connection.isHalfClosed = true;
}
