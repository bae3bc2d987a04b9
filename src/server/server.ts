/**
 * The HTTP server of a node. Each request passes the same checks in rqlite's order: query string (400), route (404), permission
 * (401), method (405); then its handler.
 */
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerOptions as HttpOptions, type ServerResponse } from "node:http";
import { createServer as createSecureServer, Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { PumiceError } from "../base/mod.ts";
import { admit } from "./admission.ts";
import { type App, commonHeaders, scheme } from "./app.ts";
import { Credentials } from "./auth.ts";
import { Connections } from "./connections.ts";
import { createCounters } from "./counters.ts";
import { Exchange } from "./exchange.ts";
import { sendFault } from "./faults.ts";
import { MemoryBudget } from "./memory-budget.ts";
import { type ServerOptions, type ServerParts, validateOptions } from "./options.ts";
import { hostCheck } from "./origin.ts";
import { WriteQueue } from "./queue.ts";
import type { Route } from "./routes.ts";
import { CertificateReloader, readSecureContext } from "./tls.ts";

/** A server that listens. */
export interface RunningServer {
  /** `host:port` where it listens. */
  readonly address: string;
  /** `http://host:port` or `https://host:port`. */
  readonly url: string;
  /** The URL that is told to others. */
  readonly advertisedUrl: string;
  /**
   * Stops accepting, lets requests that run finish, writes what is queued, then closes; each within the close timeout. To be
   * called before the replica is closed. Idempotent.
   */
  close(): Promise<void>;
}

/**
 * Starts the server. It answers from now on, also while the store is not open yet.
 * @throws SERVER_LISTEN if the address cannot be used, SERVER_AUTH_FILE, SERVER_TLS_FILE
 */
export async function startServer(options: ServerOptions, parts: ServerParts): Promise<RunningServer> {
  validateOptions(options);
  const server = new HttpService(options, parts);
  await server.listen();
  return server;
}

class HttpService implements RunningServer {
  readonly #app: App;
  readonly #server: Server;
  readonly #connections: Connections;
  readonly #reloader: CertificateReloader | undefined;
  #address = "";
  #closed: Promise<void> | undefined;

  constructor(options: ServerOptions, parts: ServerParts) {
    const counters = createCounters();
    this.#app = {
      options,
      parts,
      counters,
      queue: new WriteQueue(options.queue, { replica: parts.replica, counters, log: parts.log }),
      memory: new MemoryBudget(options.limits.maxMemoryBytes),
      credentials: options.authFile === undefined ? undefined : readCredentials(options.authFile),
      commonHeaders: commonHeaders(options, parts.node.version),
      advertisedAddress: () => options.advertisedAddress ?? this.#address,
      boundAddress: () => this.#address,
      connectionCount: () => this.#connections.count,
      strangerIn: hostCheck({ host: options.host, advertised: options.advertisedAddress, allowOrigin: options.allowOrigin }),
      backups: 0,
      markStreamed: (request) => {
        this.#connections.markStreamed(request);
      },
      startedMs: Date.now(),
    };
    this.#server = create(options);
    const { commonHeaders: headers } = this.#app;
    this.#connections = new Connections(this.#server, {
      limits: options.limits,
      counters,
      isSecure: options.tls !== undefined,
      commonHeaders: headers,
    });
    if (options.tls !== undefined && this.#server instanceof HttpsServer) {
      this.#reloader = new CertificateReloader(this.#server, options.tls, { counters, log: parts.log });
    }
    this.#server.on("request", this.#onRequest);
    this.#server.on("checkContinue", this.#onCheckContinue);
    this.#server.on("checkExpectation", this.#onCheckExpectation);
    this.#server.on("connect", this.#onConnect);
    this.#server.on("clientError", this.#onClientError);
  }

  get address(): string {
    return this.#address;
  }

  get advertisedUrl(): string {
    return `${scheme(this.#app.options)}://${this.#app.advertisedAddress()}`;
  }

  get url(): string {
    return `${this.#app.options.tls === undefined ? "http" : "https"}://${this.#address}`;
  }

  listen(): Promise<void> {
    const { host, port } = this.#app.options;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        reject(new PumiceError("SERVER_LISTEN", { address: `${host}:${String(port)}`, problem: error.message }, error));
      };
      this.#server.once("error", fail);
      this.#server.listen({ host, port, backlog: 1024 }, () => {
        this.#server.off("error", fail);
        this.#server.on("error", (error) => {
          this.#app.parts.log(`http: the listener failed: ${error.message}`);
        });
        const bound = this.#server.address() as AddressInfo;
        const shown = host.includes(":") ? `[${host}]` : host;
        this.#address = `${shown}:${String(bound.port)}`;
        resolve();
      });
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#reloader?.stop();
    // Queued writes go out at once, so that requests which wait for them can be answered.
    const flushed = this.#app.queue.close(this.#app.options.limits.closeTimeoutMs);
    await this.#connections.close();
    await flushed;
  }

  readonly #onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = new Exchange(this.#app, request, response);
    if (!namesHost(request)) {
      this.#refuseRequest(exchange, 400, "the Host header is missing");
      return;
    }
    if ((request.url?.length ?? 0) > TARGET_BYTES_MAX) {
      this.#refuseRequest(exchange, 414, "the URL is too long: the limit is 1 MiB; POST takes more");
      return;
    }
    if (headerBytes(request) > HEADERS_BYTES_MAX) {
      this.#refuseRequest(exchange, 431, HEADERS_TEXT);
      return;
    }
    if (!this.#connections.begin(exchange)) return;
    if (this.#closed !== undefined) response.shouldKeepAlive = false;
    const route = admit(exchange);
    if (route !== undefined) this.#connections.whenItsTurn(request, () => void serve(route, exchange));
  };

  readonly #onCheckContinue = (request: IncomingMessage, response: ServerResponse): void => {
    const length = Number(request.headers["content-length"] ?? 0);
    // A client that asks first is told before it sends; handlers of streams have no such limit and say so by their path.
    const isTaken = length <= this.#app.options.limits.maxBodyBytes || isStreamPath(request.url);
    if (isTaken && namesHost(request)) response.writeContinue();
    this.#onRequest(request, response);
  };

  readonly #onCheckExpectation = (request: IncomingMessage, response: ServerResponse): void => {
    this.#refuseRequest(new Exchange(this.#app, request, response), 417, "the only expectation that is met is 100-continue");
  };

  /** Answers a request that HTTP itself rules out, and closes its connection: where the next one begins may be in doubt. */
  #refuseRequest(exchange: Exchange, status: number, text: string): void {
    this.#app.counters.http.bad_requests++;
    if (this.#connections.begin(exchange)) exchange.sendError(status, text, ["Connection", "close"]);
  }

  /** No resource here takes CONNECT (RFC 9110, section 15.6.2), and Node gives no answer of its own, only the bare socket. */
  readonly #onConnect = (_request: IncomingMessage, socket: Duplex): void => {
    this.#app.counters.http.bad_requests++;
    // Without a listener its error would be nobody's.
    socket.on("error", () => socket.destroy());
    this.#connections.refuse(socket, 501, "CONNECT is not implemented: this server is no proxy");
  };

  readonly #onClientError = (error: NodeJS.ErrnoException, socket: Duplex): void => {
    const { http } = this.#app.counters;
    if (error.code === "ECONNRESET" || error.code === "EPIPE") {
      socket.destroy();
    } else if (error.code === "HPE_HEADER_OVERFLOW") {
      http.bad_requests++;
      this.#connections.refuse(socket, 431, HEADERS_TEXT);
    } else if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") {
      http.timeouts++;
      this.#connections.refuse(socket, 408, "the headers of the request did not come in time (-http-header-timeout)");
    } else {
      http.bad_requests++;
      this.#connections.refuse(socket, 400, "this is not HTTP/1.1 as RFC 9112 has it");
    }
  };
}

/** The target of a request may carry SQL. Unit: bytes. */
const TARGET_BYTES_MAX = 1024 * 1024;
/** Everything else that comes before the body. Unit: bytes. */
const HEADERS_BYTES_MAX = 16 * 1024;

const HEADERS_TEXT = "the headers of the request are too large: the limit is 16384 bytes, and 1 MiB for the URL";

function headerBytes(request: IncomingMessage): number {
  let bytes = 0;
  for (const text of request.rawHeaders) bytes += text.length + 2;
  return bytes;
}

function create(options: ServerOptions): Server {
  const http: HttpOptions = {
    requireHostHeader: false,
    maxHeaderSize: TARGET_BYTES_MAX + HEADERS_BYTES_MAX,
    connectionsCheckingInterval: 500,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    noDelay: true,
  };
  if (options.tls === undefined) return createServer(http);
  const { verifyClient } = options.tls;
  return createSecureServer({
    ...http,
    ...readSecureContext(options.tls),
    handshakeTimeout: options.limits.headerTimeoutMs,
    requestCert: verifyClient,
    rejectUnauthorized: verifyClient,
    ALPNProtocols: ["http/1.1"],
  });
}

function readCredentials(path: string): Credentials {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new PumiceError("SERVER_AUTH_FILE", { path, problem: error instanceof Error ? error.message : "it cannot be read" }, error);
  }
  return Credentials.parse(text, path);
}

/** True unless a request of HTTP/1.1 has no Host (RFC 9112, section 3.2). Checked here, so that the answer is one of this server's. */
function namesHost(request: IncomingMessage): boolean {
  return request.headers.host !== undefined || request.httpVersion !== "1.1";
}

function isStreamPath(url: string | undefined): boolean {
  return url !== undefined && (url.startsWith("/db/load") || url.startsWith("/boot"));
}

async function serve(route: Route, exchange: Exchange): Promise<void> {
  try {
    await route.handle(exchange);
  } catch (error) {
    sendFault(exchange, error, route.faults);
  }
}
