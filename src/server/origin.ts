/**
 * Which requests a browser makes for a page of somebody else. Browsers send them without asking, and only keep the answer from the page: without these
 * checks any page could write to a node on the machine of a person that looks at it, or, by a name of its own that leads to 127.0.0.1 (DNS rebinding), read.
 */
import type { IncomingMessage } from "node:http";

/** The names by which a node is known. */
export interface OwnNames {
  /** The host that the server listens on, without a port. */
  readonly host: string;
  /** `host:port` told to others. */
  readonly advertised: string | undefined;
  /** Access-Control-Allow-Origin. */
  readonly allowOrigin: string | undefined;
}

/** True for a request that a page of another origin makes through somebody's browser. A link that somebody follows to a page of ours is none. */
export function isForeign(request: IncomingMessage, allowOrigin: string | undefined): boolean {
  const { origin, host } = request.headers;
  if (allowOrigin === "*" || (origin !== undefined && allowOrigin === origin)) return false;
  const isRead = request.method === "GET" || request.method === "HEAD";
  if (origin !== undefined && !isRead) return !/^https?:\/\//.test(origin) || origin.slice(origin.indexOf("//") + 2) !== host;
  const site = request.headers["sec-fetch-site"];
  if (site !== "cross-site" && site !== "same-site") return false;
  return !isRead || request.headers["sec-fetch-mode"] !== "navigate" || request.url?.startsWith("/db/") === true;
}

/**
 * The name in `host` (a Host header) if a node that listens on loopback does not have it: then the request comes from a page whose name somebody made
 * lead here. Undefined if all is well. A node that listens on other addresses has names that nobody told it.
 */
export function foreignHost(host: string | undefined, own: OwnNames): string | undefined {
  if (host === undefined || !isLoopback(own.host)) return undefined;
  const name = nameOf(host);
  if (isLoopback(name) || (own.advertised !== undefined && nameOf(own.advertised) === name)) return undefined;
  if (own.allowOrigin === "*" || (own.allowOrigin !== undefined && nameOf(own.allowOrigin.replace(/^https?:\/\//, "")) === name))
    return undefined;
  return name;
}

/** `foreignHost` for the requests of one server: clients say the same name again and again, and it is looked at once. */
export function hostCheck(own: OwnNames): (host: string | undefined) => string | undefined {
  let last: { readonly host: string | undefined; readonly stranger: string | undefined } | undefined;
  return (host) => {
    if (last === undefined || last.host !== host) last = { host, stranger: foreignHost(host, own) };
    return last.stranger;
  };
}

/** Lower case, without a port, a final dot, or brackets. */
function nameOf(host: string): string {
  const name = host.startsWith("[") ? host.slice(1, host.indexOf("]")) : host.replace(/:\d*$/, "");
  return name.toLowerCase().replace(/\.$/, "");
}

function isLoopback(name: string): boolean {
  return name === "localhost" || name.endsWith(".localhost") || name === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}
