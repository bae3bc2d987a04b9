/**
 * The way to the node: requests over a connection that is kept, and patience with a node that restarts. Every request of a load may be sent
 * again (see statements.ts), so an answer that did not come is simply asked for anew.
 */
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

/** An answer of the node. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** The result of one statement. */
export interface StatementResult {
  readonly error?: string;
  readonly columns?: readonly string[];
  readonly values?: readonly (readonly unknown[])[];
  readonly rows_affected?: number;
}

/** What a request for SQL came to: results, or a refusal that sending again would not change. */
export type SqlAnswer =
  | { readonly ok: true; readonly results: readonly StatementResult[] }
  | { readonly ok: false; readonly problem: string };

/** Longest wait for one answer, ms. A batch takes milliseconds; the node may be catching up after a restart. */
const ANSWER_TIMEOUT_MS = 60_000;
const RETRY_MS = 200;
const ANSWER_LENGTH_MAX = 64 * 1024 * 1024;

/** A statement with its parameters, as the API takes it. */
export type SqlStatement = readonly [sql: string, ...parameters: readonly (string | number | null)[]];

/** A node, by its URL. */
export class Connection {
  readonly #url: URL;
  readonly #waitMs: number;
  readonly #authorization: string | undefined;
  readonly #agent: HttpAgent;
  readonly #onWait: (problem: string) => void;

  /** `onWait` hears why the node is waited for, each time that it is asked again. */
  constructor(settings: { readonly url: URL; readonly user: string; readonly waitMs: number }, onWait: (problem: string) => void) {
    this.#url = settings.url;
    this.#waitMs = settings.waitMs;
    const inUrl =
      settings.url.username === "" ? "" : `${decodeURIComponent(settings.url.username)}:${decodeURIComponent(settings.url.password)}`;
    const user = settings.user === "" ? inUrl : settings.user;
    this.#authorization = user === "" ? undefined : `Basic ${Buffer.from(user).toString("base64")}`;
    this.#agent =
      settings.url.protocol === "https:"
        ? new HttpsAgent({ keepAlive: true, maxSockets: 1 })
        : new HttpAgent({ keepAlive: true, maxSockets: 1 });
    this.#onWait = onWait;
  }

  /** Runs statements; all in one transaction if the path says so. Waits for a node that is away or not ready. */
  async sql(path: "/db/execute?transaction" | "/db/query?level=linearizable", statements: readonly SqlStatement[]): Promise<SqlAnswer> {
    const body = JSON.stringify(statements);
    const deadline = performance.now() + this.#waitMs;
    for (;;) {
      const problem = await this.#attempt(path, body);
      if (typeof problem !== "string") return problem;
      if (performance.now() >= deadline) return { ok: false, problem: `${this.#url.origin} does not answer as it should: ${problem}` };
      this.#onWait(problem);
      await sleep(RETRY_MS);
    }
  }

  /** Sends a body that is read once, so without a second try. `write` puts it into the request and ends it. */
  async upload(path: string, contentLength: number, write: (request: ClientRequest) => Promise<void>): Promise<Answer> {
    const headers = { "content-type": "application/octet-stream", "content-length": contentLength };
    return this.#exchange(path, { method: "POST", headers }, write);
  }

  close(): void {
    this.#agent.destroy();
  }

  /** One try: an answer for good, or why to try again. */
  async #attempt(path: string, body: string): Promise<SqlAnswer | string> {
    let answer: Answer;
    try {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      answer = await this.#exchange(
        path,
        { method: "POST", headers, timeout: ANSWER_TIMEOUT_MS },
        async (request) => void request.end(body),
      );
    } catch (error) {
      return connectionProblem(error);
    }
    if (answer.status === 200) return readResults(answer.body);
    const text = answer.body.trim();
    if (answer.status === 401)
      return {
        ok: false,
        problem: `${this.#url.origin} refuses this user: give --user NAME:PASSWORD with permission to execute and query`,
      };
    if (answer.status >= 500 || answer.status === 408 || answer.status === 429) return `${answer.status} ${text}`;
    return { ok: false, problem: `${this.#url.origin} answered ${answer.status} ${text}` };
  }

  #exchange(path: string, options: RequestOptions, write: (request: ClientRequest) => Promise<void>): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const send = this.#url.protocol === "https:" ? httpsRequest : httpRequest;
    const prefix = this.#url.pathname.replace(/\/$/, "");
    const request = send(new URL(this.#url.origin + prefix + path), { ...options, agent: this.#agent }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        if (body.length < ANSWER_LENGTH_MAX) body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
      response.on("close", () => reject(new Error("the answer was cut off")));
    });
    if (this.#authorization !== undefined) request.setHeader("authorization", this.#authorization);
    request.on("timeout", () => request.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS / 1000} s`)));
    request.on("error", reject);
    write(request).catch((error: unknown) => request.destroy(error instanceof Error ? error : new Error(String(error))));
    return promise;
  }
}

function readResults(body: string): SqlAnswer | string {
  const { results, error } = JSON.parse(body) as { readonly results?: readonly StatementResult[]; readonly error?: string };
  // An error of the whole request is the node's state (no leader, a timeout), not the statements'.
  return error === undefined ? { ok: true, results: results ?? [] } : error;
}

function connectionProblem(error: unknown): string {
  if (error instanceof AggregateError) return connectionProblem(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
