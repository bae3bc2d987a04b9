/**
 * A large object put in parts: each part is sent again by itself when it fails, and several travel at a time. Only for unconditional
 * puts: Ceph 16 answers 200 to a conditional joining of parts and does not look at the condition.
 */
import { concat, PumiceError, type ETag, type PutResult } from "../../base/mod.ts";
import { errorOf, etagOf, refused, unquoted } from "./answers.ts";
import type { S3Client } from "./client.ts";
import type { HttpAnswer } from "./http.ts";
import { newPutId, PUT_ID_HEADER } from "./put-id.ts";
import { escapeXml, parseXml, textOf } from "./xml.ts";

/** Parts on their way at a time. */
const PARTS_AT_ONCE = 4;
/** The same for parts that are made meanwhile. */
const CREATE_PARTS_AT_ONCE = 2;
/** Parts of one object: S3's limit. */
const PARTS_MAX = 10_000;

/** A large object to be put. */
export interface LargePut {
  /** The whole key in the bucket. */
  readonly key: string;
  readonly body: Uint8Array;
  /** Default 16 MiB. Made larger where the limit of 10,000 parts asks for it. */
  readonly partBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Puts the object and gives its version. What was sent of one that fails is removed, if the store still answers. */
export async function putInParts(client: S3Client, put: LargePut): Promise<ETag> {
  const { key, signal } = put;
  const { putId, uploadId } = await begin(client, key, signal);
  try {
    const etags = await sendParts(client, put, uploadId);
    const result = await join(client, { key, uploadId, putId, etags, signal, isCreate: false });
    if (result.ok) return result.etag;
    throw new PumiceError("STORE_UNAVAILABLE", { key, reason: "the store did not join the parts" });
  } catch (error) {
    await forget(client, key, uploadId);
    throw error;
  }
}

async function begin(client: S3Client, key: string, signal: AbortSignal | undefined): Promise<{ putId: string; uploadId: string }> {
  const putId = newPutId(client.clock, client.random);
  const begun = await client.settle({ method: "POST", key, query: [["uploads", ""]], headers: { [PUT_ID_HEADER]: putId }, signal });
  const uploadId = begun.status === 200 ? textOf(rootOf(begun, "InitiateMultipartUploadResult", key), "UploadId") : undefined;
  if (uploadId === undefined || uploadId === "") throw refused(key, begun);
  return { putId, uploadId };
}

/** Removes what was sent. Without a signal: it may be what ended the put. If this fails too, the bucket's lifecycle rule for unfinished uploads remains. */
async function forget(client: S3Client, key: string, uploadId: string): Promise<void> {
  await client.settle({ method: "DELETE", key, query: [["uploadId", uploadId]] }).catch(() => undefined);
}

interface PartToSend {
  readonly key: string;
  readonly uploadId: string;
  /** From 0. */
  readonly index: number;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
}

/** Sends one part; its version. */
async function sendPart(client: S3Client, { key, uploadId, index, body, signal }: PartToSend): Promise<string> {
  const query = [
    ["partNumber", String(index + 1)],
    ["uploadId", uploadId],
  ] as const;
  const answer = await client.settle({ method: "PUT", key, query, body, signal });
  if (answer.status !== 200) throw refused(key, answer);
  return etagOf(answer);
}

async function sendParts(client: S3Client, put: LargePut, uploadId: string): Promise<string[]> {
  const { key, body } = put;
  const partBytes = Math.max(put.partBytes ?? 16 * 1024 * 1024, Math.ceil(body.length / PARTS_MAX));
  const partCount = Math.ceil(body.length / partBytes);
  const etags: string[] = Array.from({ length: partCount }, () => "");
  let next = 0;
  const failed = new AbortController();
  const signal = put.signal === undefined ? failed.signal : AbortSignal.any([put.signal, failed.signal]);
  const worker = async (): Promise<void> => {
    while (next < partCount) {
      const index = next++;
      const part = body.subarray(index * partBytes, (index + 1) * partBytes);
      etags[index] = await sendPart(client, { key, uploadId, index, body: part, signal });
    }
  };
  const workers = Array.from({ length: Math.min(PARTS_AT_ONCE, partCount) }, () =>
    worker().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  // All have to end before the bytes are the caller's again.
  const results = await Promise.allSettled(workers);
  put.signal?.throwIfAborted();
  if (results.some((result) => result.status === "rejected")) throw failed.signal.reason;
  return etags;
}

/** A large object to be created. */
export interface LargeCreate {
  /** The whole key in the bucket. */
  readonly key: string;
  readonly parts: AsyncIterable<Uint8Array>;
  /** Bytes sent at a time. Default 8 MiB, of which some are in memory at once. */
  readonly partBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Creates the object of parts that are made meanwhile. What fits into one part goes by `putWhole`. The joining carries the condition, and the store is asked
 * before it whether the key is taken: a server that ignores the condition then can be fooled only by a writer that creates the same key at the same moment.
 */
export async function createInParts(
  client: S3Client,
  create: LargeCreate,
  putWhole: (body: Uint8Array) => Promise<PutResult>,
): Promise<PutResult> {
  const { key, signal } = create;
  const chunks = inChunks(create.parts, create.partBytes ?? 8 * 1024 * 1024);
  let chunk = await chunks.next();
  if (chunk.done === true || chunk.value.isLast) return await putWhole(chunk.done === true ? new Uint8Array(0) : chunk.value.body);
  const { putId, uploadId } = await begin(client, key, signal).catch(async (error: unknown) => {
    await chunks.return(undefined);
    throw error;
  });
  const sending = new Set<Promise<void>>();
  const etags: string[] = [];
  const failed = new AbortController();
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  try {
    for (; chunk.done !== true; chunk = await chunks.next()) {
      either.throwIfAborted();
      const part = { key, uploadId, index: etags.length, body: chunk.value.body, signal: either };
      etags.push("");
      const sent: Promise<void> = sendPart(client, part)
        .then((etag) => void (etags[part.index] = etag))
        .catch((error: unknown) => failed.abort(error))
        .finally(() => sending.delete(sent));
      sending.add(sent);
      // While these travel, the next is made.
      if (sending.size >= CREATE_PARTS_AT_ONCE) await Promise.race(sending);
    }
    await Promise.all(sending);
    either.throwIfAborted();
    const now = await client.settle({ method: "HEAD", key, signal });
    const result: PutResult =
      now.status === 200 ? { ok: false } : await join(client, { key, uploadId, putId, etags, signal, isCreate: true });
    if (!result.ok) await forget(client, key, uploadId);
    return result;
  } catch (error) {
    await chunks.return(undefined);
    await Promise.all(sending);
    await forget(client, key, uploadId);
    throw error;
  }
}

interface Chunk {
  readonly body: Uint8Array;
  /** True if it is known that none follows. */
  readonly isLast: boolean;
}

/** The parts, put together to pieces of at least that size; the last may be smaller. */
async function* inChunks(parts: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Chunk, undefined> {
  let gathered: Uint8Array[] = [];
  let length = 0;
  for await (const part of parts) {
    gathered.push(part);
    length += part.length;
    if (length < bytes) continue;
    yield { body: concat(gathered), isLast: false };
    gathered = [];
    length = 0;
  }
  if (length > 0) yield { body: concat(gathered), isLast: true };
  return undefined;
}

interface Join {
  readonly key: string;
  readonly uploadId: string;
  readonly putId: string;
  readonly etags: readonly string[];
  readonly signal: AbortSignal | undefined;
  /** Only if there is no object. */
  readonly isCreate: boolean;
}

async function join(client: S3Client, { key, uploadId, putId, etags, signal, isCreate }: Join): Promise<PutResult> {
  const parts = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${escapeXml(`"${etag}"`)}</ETag></Part>`);
  const body = Buffer.from(`<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`);
  const headers: Record<string, string> = isCreate ? { "if-none-match": "*" } : {};
  const answer = await client.settle({ method: "POST", key, query: [["uploadId", uploadId]], headers, body, signal });
  if (answer.status === 200) {
    const etag = textOf(rootOf(answer, "CompleteMultipartUploadResult", key), "ETag");
    if (etag !== undefined && etag !== "") return { ok: true, etag: unquoted(etag) };
  } else if (!(isCreate && answer.status === 412) && (answer.status !== 404 || errorOf(answer).code !== "NoSuchUpload")) {
    throw refused(key, answer);
  }
  // Joined by an attempt whose answer was lost: the object that is there tells.
  const now = await client.settle({ method: "HEAD", key, signal });
  if (now.status === 200 && now.headers[PUT_ID_HEADER] === putId) return { ok: true, etag: etagOf(now) };
  if (now.status === 200 && isCreate) return { ok: false };
  throw new PumiceError("STORE_UNAVAILABLE", { key, reason: "the store did not join the parts", storeCode: errorOf(answer).code });
}

function rootOf(answer: HttpAnswer, name: string, key: string): NonNullable<ReturnType<typeof parseXml>> {
  const root = parseXml(Buffer.from(answer.body).toString("utf8"));
  if (root?.name !== name) throw new PumiceError("STORE_UNAVAILABLE", { key, reason: `its answer is no ${name}` });
  return root;
}
