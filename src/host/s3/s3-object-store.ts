/**
 * An object store in a bucket: Amazon's S3 and what speaks its protocol. A key of the store is `prefix + key` in the bucket.
 * Conditional writes have a file of their own: conditional-put.ts.
 */
import {
  assertByteRange,
  checkObjectKey,
  compareUtf8,
  PumiceError,
  type ByteRange,
  type ETag,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
  type PutCondition,
  type PutResult,
  type StoreOptions,
} from "../../base/mod.ts";
import { errorOf, etagOf, refused, strange, unquoted } from "./answers.ts";
import { S3Client, type S3Counters } from "./client.ts";
import { putConditionally, type IfMatch } from "./conditional-put.ts";
import type { HttpAnswer } from "./http.ts";
import { createInParts, putInParts } from "./multipart.ts";
import type { S3ObjectStoreOptions } from "./options.ts";
import { childrenOf, parseXml, textOf, type XmlElement } from "./xml.ts";

/** Objects asked for in one page of a listing: S3's limit. */
const PAGE_COUNT = 1000;

/** See the header of this file. */
export class S3ObjectStore implements ObjectStore {
  readonly #client: S3Client;
  readonly #options: S3ObjectStoreOptions;
  readonly #prefix: string;
  readonly #ifMatch: IfMatch;
  /** Whether an answer has shown that the bucket exists: the 404 of a HEAD does not tell an absent object from an absent bucket. */
  #isBucketSeen = false;

  /** @throws STORE_URL if bucket or endpoint cannot be one. */
  constructor(options: S3ObjectStoreOptions) {
    this.#client = new S3Client(options);
    this.#options = options;
    this.#prefix = options.prefix ?? "";
    this.#ifMatch = { style: options.ifMatchStyle ?? "auto" };
  }

  /** What was asked of the store so far. */
  get counters(): S3Counters {
    return this.#client.counters;
  }

  /** Waits for calls under way; later ones are STORE_CLOSED. Idempotent. */
  close(): Promise<void> {
    return this.#client.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async get(key: string, options?: StoreOptions): Promise<Uint8Array | undefined> {
    const answer = await this.#client.send({ method: "GET", key: this.#full(key, options), signal: options?.signal });
    if (answer.status === 200) return this.#seen(answer).body;
    return await this.#absent(key, answer);
  }

  async getRange(key: string, range: ByteRange, options?: StoreOptions): Promise<Uint8Array | undefined> {
    assertByteRange(range);
    const { start, end } = range;
    const full = this.#full(key, options);
    // HTTP cannot ask for no bytes.
    if (start === end) return this.#emptyRange(key, start, options);
    const headers = { range: `bytes=${start}-${end - 1}` };
    const answer = await this.#client.send({ method: "GET", key: full, headers, signal: options?.signal });
    if (answer.status === 206) return checkedPart(key, range, this.#seen(answer));
    // Also at the very end, where there is nothing to give but nothing wrong either.
    if (answer.status === 416) return this.#emptyRange(key, start, options);
    if (answer.status !== 200) return await this.#absent(key, answer);
    // A server may answer a range with the whole.
    if (start > answer.body.length) throw new PumiceError("STORE_RANGE", { key, start, sizeBytes: answer.body.length });
    return answer.body.slice(start, end);
  }

  async head(key: string, options?: StoreOptions): Promise<ObjectMeta | undefined> {
    const answer = await this.#head(key, options);
    return answer === undefined ? undefined : metaOfHeaders(key, answer);
  }

  async *list(prefix: string, options?: ListOptions): AsyncIterable<ObjectMeta> {
    options?.signal?.throwIfAborted();
    let startAfter = options?.startAfter ?? "";
    for (;;) {
      const page = await this.#page(prefix, startAfter, options);
      // Asked for, but not every server does it: one that does says so.
      const isEncoded = textOf(page, "EncodingType") === "url";
      for (const element of childrenOf(page, "Contents")) {
        const meta = this.#metaOfElement(element, isEncoded);
        // Each page begins after the last key of the one before, so a server that forgot the order would loop, or skip.
        if (compareUtf8(meta.key, startAfter) <= 0) throw strange("its listing is not in order", { prefix, key: meta.key });
        startAfter = meta.key;
        // Consoles of S3 make objects called `folder/`; they can be none of ours.
        if (isObjectKey(meta.key)) yield meta;
        options?.signal?.throwIfAborted();
      }
      if (textOf(page, "IsTruncated") !== "true") return;
      if (childrenOf(page, "Contents").length === 0) throw strange("a page of its listing is empty and not the last", { prefix });
    }
  }

  async put(key: string, body: Uint8Array, options?: StoreOptions): Promise<ETag> {
    const full = this.#full(key, options);
    if (body.length >= (this.#options.multipartBytesMin ?? 32 * 1024 * 1024)) {
      const large = { key: full, body, partBytes: this.#options.partBytes, signal: options?.signal };
      return this.#client.work(() => putInParts(this.#client, large));
    }
    const answer = await this.#client.send({ method: "PUT", key: full, body, signal: options?.signal });
    if (answer.status === 200) return etagOf(this.#seen(answer));
    throw refused(key, answer);
  }

  async putIf(key: string, body: Uint8Array, condition: PutCondition, options?: StoreOptions): Promise<PutResult> {
    const full = this.#full(key, options);
    return this.#client.work(() => putConditionally(this.#client, this.#ifMatch, { key: full, body, condition, signal: options?.signal }));
  }

  async createFrom(key: string, parts: AsyncIterable<Uint8Array>, options?: StoreOptions): Promise<PutResult> {
    const full = this.#full(key, options);
    const signal = options?.signal;
    const create = { key: full, parts, partBytes: this.#options.partBytes, signal };
    return await this.#client.work(() =>
      createInParts(this.#client, create, (body) =>
        putConditionally(this.#client, this.#ifMatch, { key: full, body, condition: { kind: "absent" }, signal }),
      ),
    );
  }

  async delete(key: string, options?: StoreOptions): Promise<void> {
    const answer = await this.#client.send({ method: "DELETE", key: this.#full(key, options), signal: options?.signal });
    if (answer.status === 204 || answer.status === 200) return;
    await this.#absent(key, answer);
  }

  #full(key: string, options: StoreOptions | undefined): string {
    checkObjectKey(key);
    options?.signal?.throwIfAborted();
    return this.#prefix + key;
  }

  #seen<T>(answer: T): T {
    this.#isBucketSeen = true;
    return answer;
  }

  /** Undefined if the answer says that there is no such object. @throws what else it says. */
  async #absent(key: string, answer: HttpAnswer): Promise<undefined> {
    if (answer.status !== 404) throw refused(key, answer);
    const { code } = errorOf(answer);
    if (code !== undefined && code !== "NoSuchKey") throw refused(key, answer);
    if (code === undefined && !this.#isBucketSeen) await this.#page("", "", undefined);
    this.#isBucketSeen = true;
    return undefined;
  }

  async #head(key: string, options: StoreOptions | undefined): Promise<HttpAnswer | undefined> {
    const answer = await this.#client.send({ method: "HEAD", key: this.#full(key, options), signal: options?.signal });
    return answer.status === 200 ? this.#seen(answer) : this.#absent(key, answer);
  }

  /** No bytes, if the object exists and ends at `start` or later. */
  async #emptyRange(key: string, start: number, options: StoreOptions | undefined): Promise<Uint8Array | undefined> {
    const meta = await this.head(key, options);
    if (meta === undefined) return undefined;
    if (start > meta.sizeBytes) throw new PumiceError("STORE_RANGE", { key, start, sizeBytes: meta.sizeBytes });
    return new Uint8Array(0);
  }

  async #page(prefix: string, startAfter: string, options: StoreOptions | undefined): Promise<XmlElement> {
    const query: [string, string][] = [
      ["list-type", "2"],
      ["encoding-type", "url"],
      ["max-keys", String(PAGE_COUNT)],
      ["prefix", this.#prefix + prefix],
    ];
    if (startAfter !== "") query.push(["start-after", this.#prefix + startAfter]);
    const answer = await this.#client.send({ method: "GET", query, signal: options?.signal });
    if (answer.status !== 200) throw refused(prefix, answer);
    const root = parseXml(Buffer.from(answer.body).toString("utf8"));
    if (root?.name !== "ListBucketResult") throw strange("its listing is not S3's", { prefix });
    return root;
  }

  #metaOfElement(element: XmlElement, isEncoded: boolean): ObjectMeta {
    const rawKey = textOf(element, "Key");
    const sizeBytes = Number(textOf(element, "Size"));
    const lastModifiedMs = Date.parse(textOf(element, "LastModified") ?? "");
    const etag = textOf(element, "ETag");
    if (rawKey === undefined || etag === undefined || !Number.isSafeInteger(sizeBytes) || Number.isNaN(lastModifiedMs)) {
      throw strange("its listing misses a key, size, time or etag", { key: rawKey });
    }
    const key = isEncoded ? decodedKey(rawKey) : rawKey;
    if (!key.startsWith(this.#prefix)) throw strange("its listing shows a key that was not asked for", { key });
    return { key: key.slice(this.#prefix.length), sizeBytes, etag: unquoted(etag), lastModifiedMs };
  }
}

function decodedKey(rawKey: string): string {
  try {
    return decodeURIComponent(rawKey.replaceAll("+", " "));
  } catch {
    throw strange("its listing has a key that is not encoded as it says", { key: rawKey });
  }
}

function isObjectKey(key: string): boolean {
  try {
    checkObjectKey(key);
    return true;
  } catch {
    return false;
  }
}

function metaOfHeaders(key: string, answer: HttpAnswer): ObjectMeta {
  const sizeBytes = Number(answer.headers["content-length"]);
  const lastModifiedMs = Date.parse(answer.headers["last-modified"] ?? "");
  if (!Number.isSafeInteger(sizeBytes) || Number.isNaN(lastModifiedMs)) throw strange("a head misses size or time", { key });
  return { key, sizeBytes, etag: etagOf(answer), lastModifiedMs };
}

/** The part that was asked for. @throws STORE_UNAVAILABLE if the answer holds another one. */
function checkedPart(key: string, range: ByteRange, answer: HttpAnswer): Uint8Array {
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.headers["content-range"] ?? "");
  const first = Number(match?.[1]);
  const length = Number(match?.[2]) - first + 1;
  const size = match?.[3] === "*" ? Infinity : Number(match?.[3]);
  const isAsked = first === range.start && length === answer.body.length && length === Math.min(range.end, size) - range.start;
  // Where the size is not told, less than was asked for may be the object's end.
  const isShortEnd = size === Infinity && first === range.start && length === answer.body.length && length < range.end - range.start;
  if (isAsked || isShortEnd) return answer.body;
  throw strange("it answered with another range", { key, contentRange: answer.headers["content-range"], sizeBytes: answer.body.length });
}
