/**
 * A large object put in parts: each part is sent again by itself when it fails, and several travel at a time. Only for unconditional
 * puts: Ceph 16 answers 200 to a conditional joining of parts and does not look at the condition.
 */
import { PumiceError, type ETag } from "../../base/mod.ts";
import { errorOf, etagOf, refused, unquoted } from "./answers.ts";
import type { S3Client } from "./client.ts";
import type { HttpAnswer } from "./http.ts";
import { newPutId, PUT_ID_HEADER } from "./put-id.ts";
import { escapeXml, parseXml, textOf } from "./xml.ts";

/** Parts on their way at a time. */
const PARTS_AT_ONCE = 4;
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
  const putId = newPutId(client.clock, client.random);
  const begun = await client.settle({ method: "POST", key, query: [["uploads", ""]], headers: { [PUT_ID_HEADER]: putId }, signal });
  const uploadId = begun.status === 200 ? textOf(rootOf(begun, "InitiateMultipartUploadResult", key), "UploadId") : undefined;
  if (uploadId === undefined || uploadId === "") throw refused(key, begun);
  try {
    const etags = await sendParts(client, put, uploadId);
    return await join(client, { key, uploadId, putId, etags, signal });
  } catch (error) {
    // Without the signal: it may be what ended the put. If this fails too, the bucket's lifecycle rule for unfinished uploads remains.
    await client.settle({ method: "DELETE", key, query: [["uploadId", uploadId]] }).catch(() => undefined);
    throw error;
  }
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
      const query = [
        ["partNumber", String(index + 1)],
        ["uploadId", uploadId],
      ] as const;
      const answer = await client.settle({ method: "PUT", key, query, body: part, signal });
      if (answer.status !== 200) throw refused(key, answer);
      etags[index] = etagOf(answer);
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

interface Join {
  readonly key: string;
  readonly uploadId: string;
  readonly putId: string;
  readonly etags: readonly string[];
  readonly signal: AbortSignal | undefined;
}

async function join(client: S3Client, { key, uploadId, putId, etags, signal }: Join): Promise<ETag> {
  const parts = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${escapeXml(`"${etag}"`)}</ETag></Part>`);
  const body = Buffer.from(`<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`);
  const answer = await client.settle({ method: "POST", key, query: [["uploadId", uploadId]], body, signal });
  if (answer.status === 200) {
    const etag = textOf(rootOf(answer, "CompleteMultipartUploadResult", key), "ETag");
    if (etag !== undefined && etag !== "") return unquoted(etag);
  } else if (answer.status !== 404 || errorOf(answer).code !== "NoSuchUpload") {
    throw refused(key, answer);
  }
  // Joined by an attempt whose answer was lost: the object that is there tells.
  const now = await client.settle({ method: "HEAD", key, signal });
  if (now.status === 200 && now.headers[PUT_ID_HEADER] === putId) return etagOf(now);
  throw new PumiceError("STORE_UNAVAILABLE", { key, reason: "the store did not join the parts", storeCode: errorOf(answer).code });
}

function rootOf(answer: HttpAnswer, name: string, key: string): NonNullable<ReturnType<typeof parseXml>> {
  const root = parseXml(Buffer.from(answer.body).toString("utf8"));
  if (root?.name !== name) throw new PumiceError("STORE_UNAVAILABLE", { key, reason: `its answer is no ${name}` });
  return root;
}
