/**
 * Requests to one bucket: signed, sent, sent again where that can help, and their errors told in the object store's words.
 *
 * What is sent again: what got no whole answer, 408, 429, 5xx but for 501 and 505, S3's own codes for "again", once after the store
 * said that our clock is off (which then is corrected), once after it said that our credentials have expired (new ones are asked for).
 * Every other answer is the caller's. Conditional writes decide for themselves between attempts (conditional-put.ts), hence `attempt` and `pause`.
 */
import { PumiceError, type Clock, type ErrorDetails, type Random } from "../../base/mod.ts";
import { crypto } from "../built-ins.ts";
import { systemClock } from "../clock.ts";
import { systemRandom } from "../random.ts";
import { describeAnswer, errorOf } from "./answers.ts";
import { HttpConnections, type HttpAnswer } from "./http.ts";
import { addressOf, type S3Address, type S3ObjectStoreOptions } from "./options.ts";
import { EMPTY_SHA256, encodePath, encodeQuery, sign, type S3Credentials } from "./sigv4.ts";

/** A request to the bucket, or to an object in it. */
export interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** The object's whole key; undefined for the bucket. */
  readonly key?: string | undefined;
  readonly query?: readonly (readonly [string, string])[] | undefined;
  /** Lowercase names. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How one attempt ended: with an answer to the question, or with none that settles it. */
export type S3Outcome =
  | { readonly kind: "answer"; readonly answer: HttpAnswer }
  | { readonly kind: "again"; readonly answer: HttpAnswer }
  | { readonly kind: "failure"; readonly error: Error };

/** What was asked of the store since it was opened: its bill. */
export interface S3Counters {
  /** Attempts by method. */
  readonly requests: Readonly<Record<S3Request["method"], number>>;
  readonly retries: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** The longest wait between two attempts. */
const BACKOFF_MS_MAX = 5_000;
/** Bodies from this size on are hashed on another thread: 64 MiB take about 40 ms here. */
const HASH_INLINE_BYTES_MAX = 0x4_0000;
/** New credentials are asked for this long before the old ones end. */
const EXPIRY_MARGIN_MS = 60_000;
/** Error codes of S3 that are worth another attempt, whatever their status. */
const AGAIN = new Set([
  "RequestTimeout",
  "SlowDown",
  "OperationAborted",
  "ConditionalRequestConflict",
  "InternalError",
  "ServiceUnavailable",
]);

/** See the header of this file. */
export class S3Client {
  readonly address: S3Address;
  readonly #options: S3ObjectStoreOptions;
  readonly #connections: HttpConnections;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #region: string;
  readonly #counts = { GET: 0, HEAD: 0, PUT: 0, POST: 0, DELETE: 0 };
  #retries = 0;
  #bytesSent = 0;
  #bytesReceived = 0;
  #credentials: Promise<S3Credentials> | undefined;
  /** What to add to our clock to get the store's, ms. */
  #clockOffsetMs = 0;
  #isClosed = false;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(options: S3ObjectStoreOptions) {
    this.#options = options;
    this.address = addressOf(options);
    this.#connections = new HttpConnections(this.address, options.connectionsMax ?? 64, options.silenceMsMax ?? 15_000);
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#region = options.region ?? "us-east-1";
  }

  get counters(): S3Counters {
    return { requests: { ...this.#counts }, retries: this.#retries, bytesSent: this.#bytesSent, bytesReceived: this.#bytesReceived };
  }

  /** A source of names for single writes. */
  get random(): Random {
    return this.#random;
  }

  get clock(): Clock {
    return this.#clock;
  }

  /** The answer that settles the request. @throws STORE_UNAVAILABLE when attempts are used up; STORE_CLOSED; the signal's reason. */
  send(request: S3Request): Promise<HttpAnswer> {
    return this.work(() => this.settle(request));
  }

  /** The same for a step of something larger that runs in `work`: what was begun is finished, although the client is being closed. */
  async settle(request: S3Request): Promise<HttpAnswer> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.attempt(request);
      if (outcome.kind === "answer") return outcome.answer;
      await this.pause(request, attempt, outcome);
    }
  }

  /** Runs what `close` has to wait for. @throws STORE_CLOSED */
  async work<T>(run: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new PumiceError("STORE_CLOSED");
    const work = run();
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  /** One attempt, and another where the answer named a fault of ours that could be mended. @throws the signal's reason */
  async attempt(request: S3Request): Promise<S3Outcome> {
    const bodySha256 = await hashOf(request.body);
    const mended = { clock: false, credentials: false };
    for (;;) {
      request.signal?.throwIfAborted();
      try {
        const answer = await this.#exchange(request, bodySha256);
        if (isWorthAgain(answer, request.method)) return { kind: "again", answer };
        if (!this.#mend(answer, mended)) return { kind: "answer", answer };
      } catch (error) {
        request.signal?.throwIfAborted();
        // Node's own errors have codes; ours are none of the network's, and a programmer's error has none.
        if (!(error instanceof Error) || !("code" in error) || error instanceof PumiceError) throw error;
        return { kind: "failure", error };
      }
    }
  }

  /** Waits before the next attempt. @throws STORE_UNAVAILABLE, saying how the last one ended, if there may be no more. */
  async pause(request: S3Request, attempt: number, outcome: S3Outcome): Promise<void> {
    if (attempt >= Math.min(this.#options.attemptsMax ?? 8, isNobodyThere(outcome) ? UNREACHED_ATTEMPTS_MAX : Infinity)) {
      throw unavailable(outcome, { method: request.method, key: request.key, host: this.address.host, attempts: attempt });
    }
    this.#retries++;
    await this.#clock.sleep(this.#waitMs(attempt, outcome), { signal: request.signal });
  }

  /** Waits for what is under way. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#underWay);
    this.#connections.close();
  }

  async #exchange(request: S3Request, bodySha256: string): Promise<HttpAnswer> {
    const { method, body, signal } = request;
    const path = this.address.basePath + encodePath(request.key ?? "");
    const bucketPath = request.key === undefined && path.length > 1 ? path.slice(0, -1) : path;
    const query = request.query ?? [];
    const headers: Record<string, string> = { ...request.headers, host: this.address.host };
    const credentials = await this.#currentCredentials();
    const nowMs = this.#clock.now() + this.#clockOffsetMs;
    const signed = sign({ method, path: bucketPath, query, headers, bodySha256 }, credentials, { region: this.#region, nowMs });
    if (body !== undefined || method === "PUT" || method === "POST") signed["content-length"] = String(body?.length ?? 0);
    this.#counts[method]++;
    this.#bytesSent += body?.length ?? 0;
    const target = query.length === 0 ? bucketPath : `${bucketPath}?${encodeQuery(query)}`;
    const answer = await this.#connections.send({ method, target, headers: signed, body, signal });
    this.#bytesReceived += answer.body.length;
    return answer;
  }

  #waitMs(attempt: number, outcome: S3Outcome): number {
    const asked = outcome.kind === "failure" ? Number.NaN : Number(outcome.answer.headers["retry-after"]) * 1000;
    const full = Math.min((this.#options.backoffMs ?? 100) * 2 ** (attempt - 1), BACKOFF_MS_MAX);
    // At least half of it, so that a crowd that failed together does not come back together, nor at once.
    const wait = full / 2 + (full / 2) * (this.#random.u32() / 2 ** 32);
    return asked > 0 ? Math.min(Math.max(asked, wait), 2 * BACKOFF_MS_MAX) : wait;
  }

  /** True if the answer names a fault of ours that now is mended. Each kind once a request. */
  #mend(answer: HttpAnswer, mended: { clock: boolean; credentials: boolean }): boolean {
    if (answer.status !== 403 && answer.status !== 400) return false;
    const code = errorOf(answer).code;
    const storeMs = Date.parse(answer.headers.date ?? "");
    // A HEAD's answer has no body and so no code: there a clock that is visibly off is taken for the cause.
    const offsetMs = storeMs - this.#clock.now();
    const isSkewed = code === "RequestTimeTooSkewed" || (code === undefined && Math.abs(offsetMs - this.#clockOffsetMs) > 600_000);
    if (isSkewed && !mended.clock && !Number.isNaN(offsetMs)) {
      this.#clockOffsetMs = offsetMs;
      mended.clock = true;
      return true;
    }
    // The answer to a HEAD does not say why; new credentials may be the cure, and once is no harm.
    const isExpired = code === "ExpiredToken" || code === "TokenRefreshRequired" || code === undefined;
    if (isExpired && !mended.credentials && typeof this.#options.credentials === "function") {
      this.#credentials = undefined;
      mended.credentials = true;
      return true;
    }
    return false;
  }

  async #currentCredentials(): Promise<S3Credentials> {
    const given = this.#options.credentials;
    if (typeof given !== "function") return given;
    this.#credentials ??= given();
    const asked = this.#credentials;
    try {
      const credentials = await asked;
      if ((credentials.expiresAtMs ?? Infinity) - EXPIRY_MARGIN_MS > this.#clock.now()) return credentials;
    } catch (error) {
      if (this.#credentials === asked) this.#credentials = undefined;
      throw error;
    }
    if (this.#credentials === asked) this.#credentials = given();
    return this.#credentials;
  }
}

/** A server that is not there is told of soon: an address with a mistake in it must not look like a slow store. The engine above tries again by itself. */
const UNREACHED_ATTEMPTS_MAX = 3;
const UNREACHED = new Set(["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH"]);

/** True if no server was reached: nobody listens there, or there is no such name. */
function isNobodyThere(outcome: S3Outcome): boolean {
  return outcome.kind === "failure" && "code" in outcome.error && UNREACHED.has(String(outcome.error.code));
}

function isWorthAgain(answer: HttpAnswer, method: string): boolean {
  switch (answer.status) {
    case 200:
      // S3 may begin to answer the joining of parts with 200 and then fail.
      return method === "POST" && errorOf(answer).code !== undefined;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    case 400:
    case 409:
      return AGAIN.has(errorOf(answer).code ?? "");
    case 501: // Not implemented: another attempt changes nothing.
    case 505:
      return false;
    default:
      // Others that servers between here and the store have made up (520 to 530 at Cloudflare, before R2), say as much as 500.
      return answer.status > 505;
  }
}

function unavailable(outcome: S3Outcome, details: ErrorDetails): PumiceError {
  if (outcome.kind === "failure") {
    const code = "code" in outcome.error ? String(outcome.error.code) : "";
    return new PumiceError("STORE_UNAVAILABLE", { ...details, reason: `${code} ${outcome.error.message}`.trim() }, outcome.error);
  }
  return new PumiceError("STORE_UNAVAILABLE", { ...details, ...describeAnswer(outcome.answer) });
}

async function hashOf(body: Uint8Array | undefined): Promise<string> {
  if (body === undefined || body.length === 0) return EMPTY_SHA256;
  if (body.length <= HASH_INLINE_BYTES_MAX) return crypto().hash("sha256", body);
  return Buffer.from(await crypto().subtle.digest("SHA-256", body as Uint8Array<ArrayBuffer>)).toString("hex");
}
