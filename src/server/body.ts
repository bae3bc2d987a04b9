/** Reading the body of a request: whole and bounded, or as a stream. */
import type { IncomingMessage } from "node:http";
import type { Exchange } from "./exchange.ts";
import { ClientGone, HttpError } from "./http-error.ts";
import { bodyMemory } from "./memory-budget.ts";

/** The whole body. @throws HttpError 413 beyond the limit, ClientGone */
export function collectBody(exchange: Exchange): Promise<Buffer> {
  const { request } = exchange;
  const limit = exchange.app.options.limits.maxBodyBytes;
  const declared = request.headers["content-length"];
  if (declared === undefined) return collect(exchange, limit, new BodyMemory(exchange));
  const bytes = Number(declared);
  if (bytes > limit) return Promise.reject(tooLarge(limit));
  // All of it at once: bodies that come at the same time would else keep each other from ever being whole.
  if (bodyMemory(bytes) > 0 && !exchange.takeMemory(bodyMemory(bytes))) return Promise.reject(noRoom());
  return collect(exchange, limit, undefined);
}

/** Takes memory for a body whose length nobody told, as it comes. */
class BodyMemory {
  readonly #exchange: Exchange;
  #takenBytes = 0;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** False if there is no room for a body of `size` bytes so far. */
  grow(size: number): boolean {
    const more = bodyMemory(size) - this.#takenBytes;
    if (more > 0 && !this.#exchange.takeMemory(more)) return false;
    this.#takenBytes += more;
    return true;
  }
}

function collect(exchange: Exchange, limit: number, memory: BodyMemory | undefined): Promise<Buffer> {
  const { request } = exchange;
  return new Promise((resolve, reject) => {
    let only: Buffer | undefined;
    let several: Buffer[] | undefined;
    let size = 0;
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > limit) {
        request.off("data", onData);
        reject(tooLarge(limit));
      } else if (memory?.grow(size) === false) {
        request.off("data", onData);
        reject(noRoom());
      } else if (only === undefined) {
        only = chunk;
      } else {
        several ??= [only];
        several.push(chunk);
      }
    };
    request.on("data", onData);
    request.on("end", () => {
      resolve(several === undefined ? (only ?? NOTHING) : Buffer.concat(several, size));
    });
    request.on("error", () => {
      reject(new ClientGone("the connection ended inside a request"));
    });
  });
}

const NOTHING = Buffer.alloc(0);

function noRoom(): HttpError {
  return new HttpError(503, "too many large requests at a time: nothing of this one was done", ["Retry-After", "1"]);
}

function tooLarge(limit: number): HttpError {
  return new HttpError(413, `request body too large: the limit is ${String(limit)} bytes (-http-max-body)`);
}

/** The first bytes of a body, and then all of it as a stream that is read only as fast as it is consumed. */
export interface PeekedBody {
  /** At least the wished number of bytes, unless the body is shorter. */
  readonly head: Buffer;
  /** The whole body, `head` included. To be consumed once. @throws ClientGone */
  readonly stream: AsyncIterable<Uint8Array>;
}

/** Reads until `count` bytes are there. @throws ClientGone */
export async function peekBody(request: IncomingMessage, count: number): Promise<PeekedBody> {
  // Leaving the loop early must not destroy the socket: the answer still has to go out on it.
  const iterator = request.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  let head: Buffer = NOTHING;
  while (head.length < count) {
    const { value, done } = await next(iterator);
    if (done === true) break;
    head = head.length === 0 ? value : Buffer.concat([head, value]);
  }
  return { head, stream: rest(head, iterator) };
}

async function* rest(head: Buffer, iterator: AsyncIterator<Buffer>): AsyncGenerator<Uint8Array> {
  try {
    if (head.length > 0) yield head;
    for (;;) {
      const { value, done } = await next(iterator);
      if (done === true) return;
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}

async function next(iterator: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
  try {
    return await iterator.next();
  } catch {
    throw new ClientGone("the connection ended inside a request");
  }
}

/** All of a stream, bounded. @throws HttpError 413, ClientGone */
export async function collectStream(exchange: Exchange, stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const limit = exchange.app.options.limits.maxBodyBytes;
  const parts: Uint8Array[] = [];
  const memory = new BodyMemory(exchange);
  let size = 0;
  for await (const part of stream) {
    size += part.length;
    if (size > limit) throw tooLarge(limit);
    if (!memory.grow(size)) throw noRoom();
    parts.push(part);
  }
  return Buffer.concat(parts, size);
}
