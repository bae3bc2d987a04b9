/**
 * A conditional write whose answer may get lost. Conditional writes are the foundation of everything above, so the rules are spelled out:
 *
 * 1. Create is `If-None-Match: *`, replace is `If-Match: etag`, one PUT each, never in parts: some servers ignore conditions when parts are joined.
 * 2. 412 is a lost condition; so is 404 for a replace. 409 and 5xx decide nothing (Ceph 16 answers 500 to the losers of a race).
 * 3. After an attempt that decided nothing, the store is asked what is there, at once. Each write carries an id (put-id.ts), and a
 *    replacing one also the version that it replaces, as metadata. The object there is
 *    - ours: won.
 *    - still what the condition asks for: nothing has happened yet; send again. Should the first attempt land late, the second one loses
 *      against it, and this rule finds our own object.
 *    - another's, and we wanted to create: lost.
 *    - another's that replaced the very version that we wanted to replace: lost.
 *    - anything else: ours may have come and gone in between. The outcome is unknown, and that is an error.
 * 4. The bytes are no evidence: two writers may write the same ones. SlateDB's fences are always the same.
 */
import { PumiceError, type PutCondition, type PutResult } from "../../base/mod.ts";
import { errorOf, etagOf, refused } from "./answers.ts";
import type { S3Client, S3Request } from "./client.ts";
import type { HttpAnswer } from "./http.ts";
import { newPutId, PUT_ID_HEADER } from "./put-id.ts";

/** The header of the version that a write replaces. */
const REPLACES_HEADER = "x-amz-meta-pumicereplaces";

/** A conditional write. */
export interface ConditionalPut {
  /** The whole key in the bucket. */
  readonly key: string;
  readonly body: Uint8Array;
  readonly condition: PutCondition;
  readonly signal: AbortSignal | undefined;
}

/** How `If-Match` names a version: as the option says; auto becomes one of the other two when the store has shown which. */
export interface IfMatch {
  style: "auto" | "quoted" | "unquoted";
}

/** Rules 1 to 4. @throws STORE_UNAVAILABLE, also when the outcome cannot be known; STORE_REFUSED */
export async function putConditionally(client: S3Client, ifMatch: IfMatch, put: ConditionalPut): Promise<PutResult> {
  const { key, body, condition, signal } = put;
  const putId = newPutId(client.clock, client.random);
  let isUnquoted = ifMatch.style === "unquoted";
  let isAmbiguous = false;
  for (let attempt = 1; ;) {
    const request: S3Request = { method: "PUT", key, headers: headersOf(condition, putId, isUnquoted), body, signal };
    const outcome = await client.attempt(request);
    if (outcome.kind === "answer") {
      const { answer } = outcome;
      if (answer.status === 200) {
        if (condition.kind === "match" && ifMatch.style === "auto") ifMatch.style = isUnquoted ? "unquoted" : "quoted";
        return { ok: true, etag: etagOf(answer) };
      }
      if (!isLost(answer, condition)) throw refused(key, answer);
      const mayBeQuotes = condition.kind === "match" && ifMatch.style === "auto" && !isUnquoted;
      if (!isAmbiguous && !mayBeQuotes) return { ok: false };
    } else {
      isAmbiguous = true;
    }
    const now = await headOf(client, put);
    const verdict = judge(now, condition, putId);
    if (verdict.kind === "won") return { ok: true, etag: etagOf(verdict.now) };
    if (verdict.kind === "lost") return { ok: false };
    if (verdict.kind === "unknown" && isAmbiguous) throw unknown(key);
    if (verdict.kind === "unknown") return { ok: false };
    if (outcome.kind !== "answer") {
      await client.pause(request, attempt, outcome);
      attempt++;
    } else if (condition.kind === "match" && !isUnquoted && ifMatch.style === "auto") {
      // The very version that was named is there, and yet it did not match: the quotes are taken for a part of it.
      isUnquoted = true;
    } else {
      // Lost a moment ago, and now what was asked for is back: somebody put it back, or removed what was in the way. A caller that lost may be told so.
      if (isAmbiguous) throw unknown(key);
      return { ok: false };
    }
  }
}

function headersOf(condition: PutCondition, putId: string, isUnquoted: boolean): Record<string, string> {
  if (condition.kind === "absent") return { [PUT_ID_HEADER]: putId, "if-none-match": "*" };
  const etag: string = condition.etag;
  // A version that is no version of this store's making, and could not travel in a header, can match nothing.
  const named = /^[\x21-\x7e]+$/.test(etag) && !etag.includes('"') ? etag : "none";
  return { [PUT_ID_HEADER]: putId, [REPLACES_HEADER]: named, "if-match": isUnquoted ? named : `"${named}"` };
}

function isLost(answer: HttpAnswer, condition: PutCondition): boolean {
  return answer.status === 412 || (answer.status === 404 && condition.kind === "match" && errorOf(answer).code !== "NoSuchBucket");
}

type Verdict = { readonly kind: "won"; readonly now: HttpAnswer } | { readonly kind: "lost" | "untouched" | "unknown" };

/** Rule 3. */
function judge(now: HttpAnswer | undefined, condition: PutCondition, putId: string): Verdict {
  if (now?.headers[PUT_ID_HEADER] === putId) return { kind: "won", now };
  if (condition.kind === "absent") return { kind: now === undefined ? "untouched" : "lost" };
  if (now === undefined) return { kind: "unknown" };
  if (etagOf(now) === condition.etag) return { kind: "untouched" };
  return { kind: now.headers[REPLACES_HEADER] === condition.etag ? "lost" : "unknown" };
}

async function headOf(client: S3Client, { key, signal }: ConditionalPut): Promise<HttpAnswer | undefined> {
  const answer = await client.settle({ method: "HEAD", key, signal });
  if (answer.status === 200) return answer;
  if (answer.status === 404) return undefined;
  throw refused(key, answer);
}

function unknown(key: string): PumiceError {
  return new PumiceError("STORE_UNAVAILABLE", {
    key,
    reason: "an attempt to write got no clear answer, and what is there now does not tell whether it took effect; read, then decide",
  });
}
