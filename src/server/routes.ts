/** Which path and method leads where, and what it takes to be let in. Order matters: the first prefix that fits wins. */
import type { Permission } from "./auth.ts";
import type { Exchange } from "./exchange.ts";
import type { FaultStyle } from "./faults.ts";
import { handleBackup } from "./handlers/backup.ts";
import { handleConsole, redirectToConsole } from "./handlers/console.ts";
import { handleExecute } from "./handlers/execute.ts";
import { handleLeader } from "./handlers/leader.ts";
import { handleLicenses } from "./handlers/licenses.ts";
import { handleBoot, handleLoad } from "./handlers/load.ts";
import { handleNodes } from "./handlers/nodes.ts";
import { handleQuery } from "./handlers/query.ts";
import { handleReadyz } from "./handlers/readyz.ts";
import { handleRemove } from "./handlers/remove.ts";
import { handleRequest } from "./handlers/request.ts";
import { handleReap, handleSnapshot } from "./handlers/snapshot.ts";
import { handleSql } from "./handlers/sql.ts";
import { handleStatus } from "./handlers/status.ts";
import { handleVars } from "./handlers/vars.ts";

/** One row of the routing table. */
export interface Route {
  readonly path: string;
  /** A prefix also matches longer paths, as rqlite has it: `/db/queryXYZ` works. */
  readonly match: "exact" | "prefix";
  /** Undefined: every method. */
  readonly methods?: readonly string[];
  /** All of them are needed. */
  readonly permissions: readonly Permission[];
  readonly faults: FaultStyle;
  readonly handle: (exchange: Exchange) => Promise<void> | void;
}

const GET = ["GET"];
const POST = ["POST"];
const GET_POST = ["GET", "POST"];

const ROUTES: readonly Route[] = [
  { path: "/db/execute", match: "prefix", methods: POST, permissions: ["execute"], faults: "envelope", handle: handleExecute },
  { path: "/db/query", match: "prefix", methods: GET_POST, permissions: ["query"], faults: "envelope", handle: handleQuery },
  { path: "/db/request", match: "prefix", methods: POST, permissions: ["query", "execute"], faults: "envelope", handle: handleRequest },
  { path: "/db/backup", match: "prefix", methods: GET, permissions: ["backup"], faults: "text", handle: handleBackup },
  { path: "/db/load", match: "prefix", methods: POST, permissions: ["load"], faults: "text", handle: handleLoad },
  { path: "/db/sql", match: "prefix", methods: GET_POST, permissions: ["query"], faults: "text", handle: handleSql },
  { path: "/boot", match: "exact", methods: POST, permissions: ["load"], faults: "text", handle: handleBoot },
  { path: "/snapshot", match: "exact", methods: POST, permissions: ["snapshot"], faults: "text", handle: handleSnapshot },
  { path: "/reap", match: "exact", methods: POST, permissions: ["snapshot"], faults: "text", handle: handleReap },
  { path: "/remove", match: "prefix", methods: ["DELETE"], permissions: ["remove"], faults: "text", handle: handleRemove },
  { path: "/status", match: "prefix", methods: GET, permissions: ["status"], faults: "text", handle: handleStatus },
  { path: "/nodes", match: "prefix", methods: GET, permissions: ["status"], faults: "text", handle: handleNodes },
  { path: "/leader", match: "exact", methods: GET_POST, permissions: ["leader-ops"], faults: "text", handle: handleLeader },
  { path: "/readyz", match: "prefix", methods: GET, permissions: ["ready"], faults: "text", handle: handleReadyz },
  { path: "/licenses", match: "exact", methods: GET, permissions: ["status"], faults: "text", handle: handleLicenses },
  { path: "/debug/vars", match: "exact", methods: GET, permissions: ["status"], faults: "text", handle: handleVars },
  { path: "/console", match: "prefix", methods: ["GET", "HEAD"], permissions: ["ui"], faults: "text", handle: handleConsole },
  { path: "/", match: "exact", permissions: [], faults: "text", handle: redirectToConsole },
];

const BY_PATH: ReadonlyMap<string, Route> = new Map(ROUTES.map((route) => [route.path, route]));

/** The route of a path, or undefined. */
export function findRoute(path: string): Route | undefined {
  const exact = BY_PATH.get(path);
  if (exact !== undefined) return exact;
  if (path === "") return BY_PATH.get("/");
  return ROUTES.find((route) => route.match === "prefix" && path.startsWith(route.path));
}
