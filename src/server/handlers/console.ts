/** GET /console/: a page for people. Static files, no outside resource, under a content policy that allows nothing else. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Exchange } from "../exchange.ts";

interface Asset {
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

const FOLDER = new URL("../console/", import.meta.url);

const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  "/console/": ["index.html", "text/html; charset=utf-8"],
  "/console/index.html": ["index.html", "text/html; charset=utf-8"],
  "/console/console.css": ["console.css", "text/css; charset=utf-8"],
  "/console/console.js": ["console.js", "text/javascript; charset=utf-8"],
  "/console/icon.svg": ["icon.svg", "image/svg+xml"],
};

const SECURITY_HEADERS = [
  "Content-Security-Policy",
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options",
  "nosniff",
  "Referrer-Policy",
  "no-referrer",
  "Cache-Control",
  "no-cache",
];

/** Read on first use, then kept: a handful of small files. */
const assets = new Map<string, Asset>();

/** Sends a file of the console. */
export function handleConsole(exchange: Exchange): void {
  const { request } = exchange;
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  if (path === "/console") {
    exchange.sendEmpty(301, ["Location", "/console/"]);
    return;
  }
  exchange.app.counters.http.ui++;
  const asset = findAsset(path);
  if (asset === undefined) {
    exchange.sendEmpty(404);
    return;
  }
  const headers = [...SECURITY_HEADERS, "ETag", asset.etag];
  if (request.headers["if-none-match"] === asset.etag) exchange.sendEmpty(304, headers);
  else exchange.send({ status: 200, type: asset.type, parts: [asset.body], headers });
}

/** `/` leads to the console. */
export function redirectToConsole(exchange: Exchange): void {
  exchange.sendEmpty(302, ["Location", "/console/"]);
}

function findAsset(path: string): Asset | undefined {
  const known = assets.get(path);
  if (known !== undefined) return known;
  if (!Object.hasOwn(FILES, path)) return undefined;
  const [file, type] = FILES[path] as readonly [string, string];
  const body = readFileSync(new URL(file, FOLDER));
  const asset: Asset = { type, body, etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"` };
  assets.set(path, asset);
  return asset;
}
