/**
 * Amazon's signature, version 4, in headers. The secret never leaves this file but as a signature.
 * Source: "Create a signed AWS API request" in the IAM user guide; its examples are the tests.
 */
import { crypto } from "../built-ins.ts";

/** The key pair that proves the identity of a request's sender. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Comes with keys that expire. */
  readonly sessionToken?: string | undefined;
  /** When they expire, in ms since 1970; they are asked for anew before. Default: never. */
  readonly expiresAtMs?: number | undefined;
}

/** A request as it will be sent, but for the headers that `sign` adds. */
export interface UnsignedRequest {
  readonly method: string;
  /** Already percent-encoded by `encodePath`: S3 signs it as it is sent. */
  readonly path: string;
  /** Names and values, not encoded. */
  readonly query: readonly (readonly [string, string])[];
  /** Lowercase names; `host` among them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of the body, lowercase hex. */
  readonly bodySha256: string;
}

/** Where and when a signature is valid. */
export interface SigningScope {
  readonly region: string;
  readonly nowMs: number;
}

/** SHA-256 of no bytes. */
export const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** The headers to send: those given, the signed date and hash, and the signature. */
export function sign(request: UnsignedRequest, credentials: S3Credentials, scope: SigningScope): Record<string, string> {
  const timestamp = new Date(scope.nowMs).toISOString().replace(/[-:]|\.\d{3}/g, "");
  const day = timestamp.slice(0, 8);
  const headers: Record<string, string> = { ...request.headers, "x-amz-content-sha256": request.bodySha256, "x-amz-date": timestamp };
  if (credentials.sessionToken !== undefined) headers["x-amz-security-token"] = credentials.sessionToken;
  const names = Object.keys(headers).sort();
  const signedHeaders = names.join(";");
  const canonicalRequest = [
    request.method,
    request.path,
    encodeQuery(request.query),
    ...names.map((name) => `${name}:${(headers[name] as string).trim().replace(/ +/g, " ")}`),
    "",
    signedHeaders,
    request.bodySha256,
  ].join("\n");
  const credentialScope = `${day}/${scope.region}/s3/aws4_request`;
  const stringToSign = `AWS4-HMAC-SHA256\n${timestamp}\n${credentialScope}\n${crypto().hash("sha256", canonicalRequest)}`;
  const key = [day, scope.region, "s3", "aws4_request"].reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  const signature = Buffer.from(hmac(key, stringToSign)).toString("hex");
  headers["authorization"] =
    `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${credentialScope},SignedHeaders=${signedHeaders},Signature=${signature}`;
  return headers;
}

function hmac(key: string | Buffer, text: string): Buffer {
  return crypto().createHmac("sha256", key).update(text).digest();
}

/** The query as it is sent and signed: sorted by encoded name, everything encoded. */
export function encodeQuery(query: readonly (readonly [string, string])[]): string {
  return query
    .map(([name, value]) => `${encodeComponent(name)}=${encodeComponent(value)}`)
    .sort()
    .join("&");
}

/** A path with each part percent-encoded, the slashes kept. */
export function encodePath(path: string): string {
  return path.split("/").map(encodeComponent).join("/");
}

/** RFC 3986: letters, digits and `-._~` stay; encodeURIComponent leaves five more. */
function encodeComponent(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
