/**
 * One request, one whole answer, over kept connections. An answer cut short is an error here, never a short body.
 * `node:https` and no client library: see docs/decisions, "An S3 client of our own".
 */
import type { Agent, AgentOptions, IncomingHttpHeaders, IncomingMessage } from "node:http";
import { http, https } from "../built-ins.ts";
import type { S3Address } from "./options.ts";

/** A request ready to be sent. */
export interface HttpRequest {
  readonly method: string;
  /** Path and query, encoded. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
  readonly signal: AbortSignal | undefined;
}

/** A whole answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

/** Connections to one address. */
export class HttpConnections {
  readonly #address: S3Address;
  readonly #agent: Agent;
  readonly #silenceMsMax: number;

  constructor(address: S3Address, connectionsMax: number, silenceMsMax: number) {
    const settings: AgentOptions = { keepAlive: true, maxSockets: connectionsMax, maxFreeSockets: connectionsMax, scheduling: "lifo" };
    this.#address = address;
    this.#agent = address.isSecure ? new (https().Agent)(settings) : new (http().Agent)(settings);
    this.#silenceMsMax = silenceMsMax;
  }

  /** Resolves with any answer that came whole. Rejects with Node's error, or with the signal's reason. */
  send(request: HttpRequest): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const { hostname, port, isSecure } = this.#address;
      const start = isSecure ? https().request : http().request;
      const { method, headers, target: path } = request;
      // The timeout counts from the last byte in either direction, connecting included, so that a large body on a slow line is none.
      const timeout = this.#silenceMsMax;
      const outgoing = start({ agent: this.#agent, method, hostname, port, path, headers, timeout });
      const abort = (): void => {
        outgoing.destroy(new Error("aborted"));
      };
      const fail = (error: unknown): void => {
        request.signal?.removeEventListener("abort", abort);
        reject(request.signal?.aborted === true ? (request.signal.reason as Error) : (error as Error));
      };
      if (request.signal?.aborted === true) abort();
      else request.signal?.addEventListener("abort", abort, { once: true });
      outgoing.on("timeout", () => {
        outgoing.destroy(Object.assign(new Error(`nothing was heard for ${timeout} ms`), { code: "ETIMEDOUT" }));
      });
      outgoing.on("error", fail);
      outgoing.on("response", (incoming) => {
        collect(incoming, request.method)
          .then((body) => {
            request.signal?.removeEventListener("abort", abort);
            resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body });
          })
          .catch(fail);
      });
      outgoing.end(request.body);
    });
  }

  /** Ends idle connections at once and others with their requests. */
  close(): void {
    this.#agent.destroy();
  }
}

/** The whole body. @throws if it ends before it is whole. */
function collect(incoming: IncomingMessage, method: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const declared = incoming.headers["content-length"];
    const lengthBytes = declared === undefined || method === "HEAD" ? undefined : Number(declared);
    const chunks: Uint8Array[] = [];
    let count = 0;
    incoming.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      count += chunk.length;
    });
    incoming.on("error", reject);
    incoming.on("end", () => {
      if (!incoming.complete || (lengthBytes !== undefined && count !== lengthBytes)) {
        reject(Object.assign(new Error(`the answer ended after ${count} of ${declared ?? "unknown"} bytes`), { code: "ECONNRESET" }));
        return;
      }
      const body = new Uint8Array(count);
      let offset = 0;
      for (const chunk of chunks) {
        body.set(chunk, offset);
        offset += chunk.length;
      }
      resolve(body);
    });
  });
}
