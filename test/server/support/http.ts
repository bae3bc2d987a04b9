/** A plain HTTP client for tests: it sends exactly what it is told and gives back exactly what came. */
import { type ClientRequest, type IncomingHttpHeaders, request } from "node:http";
import { connect } from "node:net";

/** An answer as it came. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, in the order and case of the wire. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly text: string;
}

/** What to send. */
export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | undefined;
}

/** Sends one request on a connection of its own and waits for the whole answer. */
export function call(url: string, options: Call = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { headers = {}, body } = options;
    const isLengthTold = body === undefined || Object.keys(headers).some((name) => /^(content-length|transfer-encoding)$/i.test(name));
    const sent = begin(
      url,
      isLengthTold ? options : { ...options, headers: { ...headers, "Content-Length": String(Buffer.byteLength(body)) } },
      resolve,
      reject,
    );
    sent.end(body);
  });
}

/** Begins a request whose body is still to be written. */
export function open(url: string, options: Call = {}): { readonly sent: ClientRequest; readonly reply: Promise<Reply> } {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  return { sent: begin(url, options, resolve, reject), reply: promise };
}

function begin(url: string, options: Call, resolve: (reply: Reply) => void, reject: (error: Error) => void): ClientRequest {
  const { method = "GET", headers = {} } = options;
  const sent = request(url, { method, headers, agent: false });
  sent.on("error", reject);
  sent.on("response", (response) => {
    const parts: Buffer[] = [];
    response.on("data", (part: Buffer) => parts.push(part));
    response.on("error", reject);
    response.on("end", () => {
      const body = Buffer.concat(parts);
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        rawHeaders: response.rawHeaders,
        body,
        text: body.toString(),
      });
    });
  });
  return sent;
}

/** Sends bytes as they are and gives back all bytes until the other side closes, or `until` holds. */
export function raw(url: string, bytes: string | Uint8Array, until: (text: string) => boolean = () => false): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    const done = (): void => {
      socket.destroy();
      resolve(text);
    };
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (until(text)) done();
    });
    socket.on("end", done);
    socket.on("close", done);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNRESET" && text !== "") done();
      else reject(error);
    });
  });
}

/** Waits until `holds`, looking often; fails after `ms`. */
export async function eventually(holds: () => boolean | Promise<boolean>, what: string, ms = 10_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${String(ms)} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
