/**
 * A strict S3 server in this process, for what a real one cannot be made to do: to fail, to be silent, to cut answers short, to lose
 * answers of requests that took effect, to be of Ceph's or Amazon's habits. It checks signatures and hashes by its own reckoning.
 */
import { createHash, createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What to do to a request instead of, or beside, answering it. */
export type FakeFault =
  | { readonly kind: "status"; readonly status: number; readonly code?: string; readonly headers?: Record<string, string> }
  | { readonly kind: "status-after-effect"; readonly status: number }
  | { readonly kind: "drop" }
  | { readonly kind: "drop-after-effect" }
  | { readonly kind: "truncate" }
  | { readonly kind: "silence" };

/** A request as the fault function sees it. */
export interface FakeRequest {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

interface FakeObject {
  readonly body: Buffer;
  readonly etag: string;
  readonly modified: Date;
  readonly meta: Readonly<Record<string, string>>;
}

interface Reply {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer | string;
}

/** Settings and state of a fake server. */
export class FakeS3 {
  static readonly bucket = "bucket";
  readonly credentials = { accessKeyId: "AKIDFAKE", secretAccessKey: "fake/secret+key" };
  readonly objects = new Map<string, FakeObject>();
  readonly requests: FakeRequest[] = [];
  readonly uploads = new Map<
    string,
    { readonly key: string; readonly meta: Record<string, string>; readonly parts: Map<number, Buffer> }
  >();
  /** Called for each request; undefined lets it pass. */
  fault: (request: FakeRequest) => FakeFault | undefined = () => undefined;
  /** An answer instead of the right one. */
  answer: ((request: FakeRequest) => Reply) | undefined;
  /** As Ceph 16: an If-Match in quotes never matches. */
  isCeph = false;
  /** Drops metadata, as some gateways do. */
  isForgetful = false;
  pageCount = 1000;
  clockOffsetMs = 0;
  #server: Server | undefined;
  #uploadCount = 0;
  #silent = new Set<ServerResponse>();

  async start(): Promise<string> {
    this.#server = createServer((incoming, outgoing) => void this.#serve(incoming, outgoing));
    await new Promise<void>((resolve) => this.#server?.listen(0, "127.0.0.1", resolve));
    return `http://${this.address}`;
  }

  /** Host and port. */
  get address(): string {
    const address = this.#server?.address() as AddressInfo | undefined;
    return `127.0.0.1:${address?.port}`;
  }

  async stop(): Promise<void> {
    for (const response of this.#silent) response.destroy();
    this.#server?.closeAllConnections();
    await new Promise((resolve) => this.#server?.close(resolve));
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
    } catch {
      return; // The client went away.
    }
    const body = Buffer.concat(chunks);
    const [rawPath = "", rawQuery = ""] = (incoming.url ?? "").split("?");
    const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]));
    const [, bucket = "", ...rest] = rawPath.split("/").map(decodeURIComponent);
    const request: FakeRequest = {
      method: incoming.method ?? "",
      key: rest.join("/"),
      query: new URLSearchParams(rawQuery),
      headers,
      body,
    };
    this.requests.push(request);
    const fault = this.fault(request);
    if (fault?.kind === "drop") return void outgoing.destroy();
    if (fault?.kind === "silence") return void this.#silent.add(outgoing);
    if (fault?.kind === "status") {
      return this.#send(outgoing, request, { ...errorReply(fault.status, fault.code ?? "Planted"), headers: fault.headers ?? {} });
    }
    const refusal =
      this.#checkSignature(request, rawPath, rawQuery) ?? (bucket === FakeS3.bucket ? undefined : errorReply(404, "NoSuchBucket"));
    const reply = this.answer?.(request) ?? refusal ?? this.#handle(request);
    if (fault?.kind === "drop-after-effect") return void outgoing.destroy();
    if (fault?.kind === "status-after-effect") return this.#send(outgoing, request, errorReply(fault.status, "InternalError"));
    return this.#send(outgoing, request, reply, fault?.kind === "truncate");
  }

  #send(outgoing: ServerResponse, request: FakeRequest, reply: Reply, isTruncated = false): void {
    const body = Buffer.from(reply.body ?? "");
    const length = reply.headers?.["content-length"] ?? String(body.length);
    const date = new Date(Date.now() + this.clockOffsetMs).toUTCString();
    outgoing.writeHead(reply.status, { "x-amz-request-id": "fake", ...reply.headers, "content-length": length, date });
    if (request.method === "HEAD") return void outgoing.end();
    if (!isTruncated) return void outgoing.end(body);
    outgoing.write(body.subarray(0, Math.floor(body.length / 2)), () => outgoing.destroy());
  }

  #handle(request: FakeRequest): Reply {
    const { method, key, query } = request;
    if (key === "") return method === "GET" ? this.#list(query) : errorReply(405, "MethodNotAllowed");
    if (query.has("uploads") || query.has("uploadId")) return this.#multipart(request);
    const object = this.objects.get(key);
    switch (method) {
      case "PUT":
        return this.#put(request, object);
      case "GET":
      case "HEAD":
        return object === undefined ? errorReply(404, "NoSuchKey") : read(request, object);
      case "DELETE":
        this.objects.delete(key);
        return { status: 204 };
      default:
        return errorReply(405, "MethodNotAllowed");
    }
  }

  #put(request: FakeRequest, current: FakeObject | undefined): Reply {
    const ifNoneMatch = request.headers["if-none-match"];
    const ifMatch = request.headers["if-match"];
    if (ifNoneMatch !== undefined && current !== undefined) return errorReply(412, "PreconditionFailed");
    if (ifMatch !== undefined) {
      if (current === undefined) return this.isCeph ? errorReply(412, "PreconditionFailed") : errorReply(404, "NoSuchKey");
      const wanted = this.isCeph ? current.etag : `"${current.etag}"`;
      if (ifMatch !== wanted) return errorReply(412, "PreconditionFailed");
    }
    const object = this.#store(request.key, request.body, request.headers, createHash("md5").update(request.body).digest("hex"));
    return { status: 200, headers: { etag: `"${object.etag}"` } };
  }

  #store(key: string, body: Buffer, headers: Readonly<Record<string, string>>, etag: string): FakeObject {
    const meta = Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("x-amz-meta-") && !this.isForgetful));
    const object = { body, etag, modified: new Date(Date.now() + this.clockOffsetMs), meta };
    this.objects.set(key, object);
    return object;
  }

  #multipart({ method, key, query, headers, body }: FakeRequest): Reply {
    if (query.has("uploads")) {
      const id = `upload-${++this.#uploadCount}`;
      this.uploads.set(id, { key, meta: { ...headers }, parts: new Map() });
      return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
    }
    const id = query.get("uploadId") ?? "";
    const upload = this.uploads.get(id);
    if (upload === undefined || upload.key !== key) return errorReply(404, "NoSuchUpload");
    if (method === "DELETE") {
      this.uploads.delete(id);
      return { status: 204 };
    }
    if (method === "PUT") {
      upload.parts.set(Number(query.get("partNumber")), body);
      return { status: 200, headers: { etag: `"${createHash("md5").update(body).digest("hex")}"` } };
    }
    const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map((match) => Number(match[1]));
    const parts = numbers.map((number) => upload.parts.get(number));
    if (numbers.length === 0 || parts.includes(undefined)) return errorReply(400, "InvalidPart");
    if (headers["if-none-match"] === "*" && !this.isCeph && this.objects.has(key)) return errorReply(412, "PreconditionFailed");
    this.uploads.delete(id);
    const whole = Buffer.concat(parts as Buffer[]);
    const object = this.#store(key, whole, upload.meta, `${createHash("md5").update(whole).digest("hex")}-${numbers.length}`);
    return xml(`<CompleteMultipartUploadResult><ETag>&quot;${object.etag}&quot;</ETag></CompleteMultipartUploadResult>`);
  }

  #list(query: URLSearchParams): Reply {
    if (query.get("list-type") !== "2" || query.get("encoding-type") !== "url") return errorReply(400, "InvalidArgument");
    const prefix = query.get("prefix") ?? "";
    const after = query.get("start-after") ?? "";
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0)
      .sort((l, r) => Buffer.compare(Buffer.from(l), Buffer.from(r)));
    const page = keys.slice(0, this.pageCount);
    const contents = page.map((key) => {
      const { body, etag, modified } = this.objects.get(key) as FakeObject;
      const name = encodeURIComponent(key).replaceAll("%2F", "/").replaceAll("%20", "+");
      const time = modified.toISOString();
      return `<Contents><Key>${name}</Key><Size>${body.length}</Size><ETag>&quot;${etag}&quot;</ETag><LastModified>${time}</LastModified></Contents>`;
    });
    const isTruncated = page.length < keys.length;
    return xml(
      `<ListBucketResult xmlns="x"><EncodingType>url</EncodingType>${contents.join("\n")}<IsTruncated>${isTruncated}</IsTruncated></ListBucketResult>`,
    );
  }

  #checkSignature(request: FakeRequest, rawPath: string, rawQuery: string): Reply | undefined {
    const { headers, body } = request;
    const match =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(
        headers["authorization"] ?? "",
      );
    if (match === null) return errorReply(403, "AccessDenied");
    const [, id, day, region, signed = "", signature] = match;
    if (id !== this.credentials.accessKeyId) return errorReply(403, "InvalidAccessKeyId");
    const sent = headers["x-amz-date"] ?? "";
    const sentMs = Date.parse(sent.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
    if (Math.abs(sentMs - (Date.now() + this.clockOffsetMs)) > 900_000) return errorReply(403, "RequestTimeTooSkewed");
    const bodyHash = createHash("sha256").update(body).digest("hex");
    if (headers["x-amz-content-sha256"] !== bodyHash) return errorReply(400, "XAmzContentSHA256Mismatch");
    const names = signed.split(";");
    const unsigned = Object.keys(headers).filter((name) => name.startsWith("x-amz-") && !names.includes(name));
    if (unsigned.length > 0 || !names.includes("host")) return errorReply(403, "AccessDenied");
    const canonicalQuery = rawQuery === "" ? "" : rawQuery.split("&").sort().join("&");
    const lines = [
      request.method,
      rawPath,
      canonicalQuery,
      ...names.map((name) => `${name}:${headers[name]?.trim()}`),
      "",
      signed,
      bodyHash,
    ];
    const scope = `${day}/${region}/s3/aws4_request`;
    const text = `AWS4-HMAC-SHA256\n${sent}\n${scope}\n${createHash("sha256").update(lines.join("\n")).digest("hex")}`;
    let key: Buffer = Buffer.from(`AWS4${this.credentials.secretAccessKey}`);
    for (const part of scope.split("/")) key = createHmac("sha256", key).update(part).digest();
    return createHmac("sha256", key).update(text).digest("hex") === signature ? undefined : errorReply(403, "SignatureDoesNotMatch");
  }
}

function read(request: FakeRequest, object: FakeObject): Reply {
  const headers: Record<string, string> = { etag: `"${object.etag}"`, "last-modified": object.modified.toUTCString(), ...object.meta };
  const size = object.body.length;
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers["range"] ?? "");
  if (match === null) return { status: 200, headers: { ...headers, "content-length": String(size) }, body: object.body };
  const start = Number(match[1]);
  const end = Math.min(Number(match[2]) + 1, size);
  if (start >= size) return errorReply(416, "InvalidRange");
  return {
    status: 206,
    headers: { ...headers, "content-range": `bytes ${start}-${end - 1}/${size}` },
    body: object.body.subarray(start, end),
  };
}

function xml(body: string): Reply {
  return { status: 200, headers: { "content-type": "application/xml" }, body: `<?xml version="1.0" encoding="UTF-8"?>\n${body}` };
}

function errorReply(status: number, code: string): Reply {
  return { ...xml(`<Error><Code>${code}</Code><Message>the fake says ${code}</Message></Error>`), status };
}
