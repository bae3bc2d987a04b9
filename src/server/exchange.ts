/**
 * One request and its answer. Each answer is sent in one piece with rqlite's headers; those of every answer (version, CORS,
 * authentication) are made once and come first.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { App } from "./app.ts";
import { ClientSignal } from "./client-signal.ts";
import { encodeEnvelope, type Envelope } from "./envelope.ts";
import { ClientGone } from "./http-error.ts";
import { SMALL_BYTES } from "./memory-budget.ts";
import { NO_PARAMS, type Params } from "./params.ts";
import { prettyJson } from "./pretty.ts";

/** Content type of every JSON answer. */
export const JSON_TYPE = "application/json; charset=utf-8";

/** Content type of errors and plain text. */
export const TEXT_TYPE = "text/plain; charset=utf-8";

/** Indenting a result makes a copy and a larger one. */
const PRETTY_COPIES = 4;

const NO_ROOM_TEXT = "the result was dropped: too many large results are being sent; ask again later, or for fewer rows";

/** An answer that is whole in memory. */
export interface Answer {
  readonly status: number;
  /** Undefined: no content type, as an empty answer has. */
  readonly type?: string | undefined;
  readonly parts?: readonly (string | Uint8Array)[];
  /** Further headers, name and value in turn. */
  readonly headers?: readonly string[];
}

/** A request on its way through the server. */
export class Exchange {
  readonly app: App;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** When the headers had come, by performance.now(). */
  readonly startedMs: number;
  params: Params = NO_PARAMS;
  #signal: ClientSignal | undefined;
  #takenBytes = 0;

  constructor(app: App, request: IncomingMessage, response: ServerResponse) {
    this.app = app;
    this.request = request;
    this.response = response;
    this.startedMs = performance.now();
  }

  /** Aborts when the client goes away before its answer. */
  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      this.#signal = new ClientSignal();
      this.response.on("close", () => {
        if (!this.response.writableFinished) this.abandon();
      });
    }
    return this.#signal.asAbortSignal();
  }

  /** Ends what only this client wants: its reads. */
  abandon(): void {
    this.#signal?.abort(new ClientGone("the client went away before its answer"));
  }

  /** Takes memory for a large body or answer until this exchange is over. False if there is no room. */
  takeMemory(bytes: number): boolean {
    if (!this.app.memory.take(bytes)) return false;
    this.#took(bytes);
    return true;
  }

  #took(bytes: number): void {
    if (this.#takenBytes === 0) this.response.on("close", () => this.app.memory.give(this.#takenBytes));
    this.#takenBytes += bytes;
  }

  /** True once the headers of the answer are on their way. */
  get isAnswered(): boolean {
    return this.response.headersSent || this.response.destroyed;
  }

  send(answer: Answer): void {
    const { status, type, parts = [], headers = [] } = answer;
    let length = 0;
    for (const part of parts) length += typeof part === "string" ? Buffer.byteLength(part) : part.length;
    const all = [...this.app.commonHeaders, ...headers];
    if (type !== undefined) all.push("Content-Type", type);
    // 304 stands for a body that was sent before: its length would be that body's.
    if (status !== 304) all.push("Content-Length", String(length));
    this.response.writeHead(status, all);
    if (parts.length <= 1) {
      const [only] = parts;
      // A string of ASCII alone goes out with the headers as it is, without being encoded.
      if (typeof only === "string" && only.length === length) this.response.end(only, "latin1");
      else this.response.end(only);
      return;
    }
    for (const part of parts) this.response.write(part);
    this.response.end();
  }

  /** The answer of an endpoint under /db. `isServed` adds the header that names the node that did the work. */
  sendEnvelope(envelope: Envelope, isServed = true): void {
    const { results } = envelope;
    const bytes = results.length * (this.params.pretty ? PRETTY_COPIES : 1);
    if (results.length > SMALL_BYTES && !this.takeMemory(bytes)) {
      if (envelope.isDone !== true) {
        this.sendEnvelope({ ...envelope, results: "", error: NO_ROOM_TEXT }, false);
        return;
      }
      // What was done must be told: a client that heard of an error would do it again.
      this.app.memory.takeAnyway(bytes);
      this.#took(bytes);
    }
    const parts = encodeEnvelope(envelope, this.params.pretty);
    this.send({ status: 200, type: JSON_TYPE, parts, headers: isServed ? this.servedBy() : [] });
  }

  /** Compact JSON text, indented if `pretty` was asked for. */
  sendJson(json: string, status = 200): void {
    this.send({ status, type: JSON_TYPE, parts: [this.params.pretty ? prettyJson(Buffer.from(json)) : json] });
  }

  /** An error as Go's http.Error writes it: plain text and a newline. */
  sendError(status: number, text: string, headers: readonly string[] = []): void {
    this.send({ status, type: TEXT_TYPE, parts: [`${text}\n`], headers: ["X-Content-Type-Options", "nosniff", ...headers] });
  }

  sendEmpty(status: number, headers: readonly string[] = []): void {
    this.send({ status, headers });
  }

  /** X-RQLITE-SERVED-BY: the API address of the node that did the work. */
  servedBy(): readonly string[] {
    return ["X-RQLITE-SERVED-BY", this.app.advertisedAddress()];
  }

  /** Time since the headers had come, if the client asked for timings. */
  elapsedMs(): number | undefined {
    return this.params.timings ? performance.now() - this.startedMs : undefined;
  }
}
