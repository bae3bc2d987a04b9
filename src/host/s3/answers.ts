/** What the store's answers say: their errors, versions, and what they mean for the caller. */
import { PumiceError, type ETag, type ErrorDetails } from "../../base/mod.ts";
import type { HttpAnswer } from "./http.ts";
import { parseXml, textOf } from "./xml.ts";

/** What an answer says of its error, for the details of ours. */
export function describeAnswer(answer: HttpAnswer): ErrorDetails {
  const { code, message } = errorOf(answer);
  const requestId = answer.headers["x-amz-request-id"];
  return { status: answer.status, storeCode: code, reason: message, requestId: typeof requestId === "string" ? requestId : undefined };
}

/** S3's error code and message, if the body holds them. */
export function errorOf(answer: HttpAnswer): { readonly code?: string | undefined; readonly message?: string | undefined } {
  if (answer.body.length === 0 || answer.body.length > 0x1_0000) return {};
  const root = parseXml(Buffer.from(answer.body).toString("utf8"));
  if (root === undefined || root.name !== "Error") return {};
  return { code: textOf(root, "Code"), message: textOf(root, "Message")?.slice(0, 300) };
}

/** The version, without the quotes that HTTP puts around it. */
export function etagOf(answer: HttpAnswer): ETag {
  const etag = answer.headers.etag;
  if (etag === undefined || etag === "") throw strange("it told no etag", {});
  return unquoted(etag);
}

/** An etag without its quotes, if it has them. */
export function unquoted(etag: string): ETag {
  return (etag.startsWith('"') && etag.endsWith('"') && etag.length >= 2 ? etag.slice(1, -1) : etag) as ETag;
}

/** An answer that does not fit the question: the store, or something before it, is out of order. */
export function strange(reason: string, details: Readonly<Record<string, string | number | undefined>>): PumiceError {
  return new PumiceError("STORE_UNAVAILABLE", { reason, ...details });
}

/** An answer that no further attempt will change. */
export function refused(key: string, answer: HttpAnswer): PumiceError {
  const details = describeAnswer(answer);
  const region = answer.headers["x-amz-bucket-region"];
  const isElsewhere = answer.status === 301 || answer.status === 307 || answer.status === 308;
  const hint = isElsewhere ? "the bucket is in another region or at another endpoint" : undefined;
  const bucketRegion = typeof region === "string" ? region : undefined;
  return new PumiceError("STORE_REFUSED", { key, ...details, ...(hint === undefined ? {} : { hint }), bucketRegion });
}
