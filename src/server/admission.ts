/** The checks that every request passes before its handler, in rqlite's order: query string (400), path (404), permission (401), method (405). */
import type { App } from "./app.ts";
import type { Credentials } from "./auth.ts";
import type { Exchange } from "./exchange.ts";
import { isForeign } from "./origin.ts";
import { NO_PARAMS, parseParams } from "./params.ts";
import { findRoute, type Route } from "./routes.ts";

/** Passes a request through the checks. The route that takes it, or undefined once it has been answered. */
export function admit(exchange: Exchange): Route | undefined {
  const { app, request } = exchange;
  const method = request.method ?? "";
  if (method === "OPTIONS") {
    exchange.sendEmpty(200);
    return undefined;
  }
  if (isForeign(request, app.options.allowOrigin)) {
    app.counters.http.bad_requests++;
    exchange.sendError(403, `cross-origin request refused: -http-allow-origin ${request.headers.origin ?? "ORIGIN"} would allow it`);
    return undefined;
  }
  const stranger = app.strangerIn(request.headers.host);
  if (stranger !== undefined) {
    app.counters.http.bad_requests++;
    exchange.sendError(
      421,
      `this node is not called ${JSON.stringify(stranger)}: use localhost, or tell the node its name by -http-adv-addr`,
    );
    return undefined;
  }
  const { path, query } = splitTarget(request.url ?? "");
  const params = query === "" ? NO_PARAMS : parseParams(query);
  if (typeof params === "string") {
    app.counters.http.bad_requests++;
    exchange.sendError(400, params);
    return undefined;
  }
  exchange.params = params;
  const route = findRoute(path);
  if (route === undefined) {
    exchange.sendEmpty(404);
    return undefined;
  }
  if (app.credentials !== undefined && !isAllowed(app, app.credentials, { route, authorization: request.headers.authorization })) {
    exchange.sendEmpty(401);
    return undefined;
  }
  if (route.methods !== undefined && !route.methods.includes(method)) {
    exchange.sendEmpty(405, ["Allow", route.methods.join(", ")]);
    return undefined;
  }
  return route;
}

function isAllowed(app: App, credentials: Credentials, by: { readonly route: Route; readonly authorization: string | undefined }): boolean {
  if (by.route.permissions.length === 0) return true;
  const allowed = by.route.permissions.every((permission) => credentials.allows(by.authorization, permission));
  if (allowed) app.counters.http.auth_ok++;
  else app.counters.http.auth_fail++;
  return allowed;
}

/** Path and query of a request target; an absolute one, as proxies send it, loses its origin. */
function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const question = target.indexOf("?");
  const query = question < 0 ? "" : target.slice(question + 1);
  let path = question < 0 ? target : target.slice(0, question);
  if (!path.startsWith("/")) path = path.replace(/^https?:\/\/[^/]*/i, "");
  if (path.includes("%")) path = decodePath(path);
  return { path, query };
}

/** A path with a broken escape matches no route. */
function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return "%";
  }
}
