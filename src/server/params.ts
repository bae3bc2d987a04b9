/** The query parameters of a request. Keys are case-sensitive, the first of equal keys counts, a flag counts by its presence alone. */
import { parseDuration } from "../base/mod.ts";
import { parseQueryString } from "./query-string.ts";

/** Read consistency, as it is asked for. */
export type LevelParam = "none" | "weak" | "linearizable" | "strong" | "auto";

/** What `fmt` may say. */
export type BackupFormat = "binary" | "delete" | "sql";

/** The parameters, parsed and checked. Times are in milliseconds; undefined where the request is silent. */
export class Params {
  pretty = false;
  timings = false;
  transaction = false;
  associative = false;
  blobArray = false;
  qualifyColumns = false;
  freshnessStrict = false;
  redirect = false;
  raftIndex = false;
  queue = false;
  wait = false;
  noleader = false;
  nonvoters = false;
  vacuum = false;
  compress = false;
  sync = false;
  level: LevelParam = "weak";
  format: BackupFormat = "binary";
  timeoutMs: number | undefined = undefined;
  freshnessMs: number | undefined = undefined;
  dbTimeoutMs: number | undefined = undefined;
  linearizableTimeoutMs: number | undefined = undefined;
  trailingLogs: number | undefined = undefined;
  /** SQL of a GET request. */
  q: string | undefined = undefined;
  /** A sub-document of /status or /debug/vars. */
  key: string | undefined = undefined;
  /** `2` asks for the newer form of /nodes. */
  version: string | undefined = undefined;
  /** Tables of a SQL dump; empty: all. */
  tables: readonly string[] = [];
}

/** The parameters of a request that has none. Shared, and never written. */
export const NO_PARAMS: Params = Object.freeze(new Params());

type FlagName = { [K in keyof Params]: Params[K] extends boolean ? K : never }[keyof Params];

const FLAGS: ReadonlyMap<string, FlagName> = new Map([
  ["pretty", "pretty"],
  ["timings", "timings"],
  ["transaction", "transaction"],
  ["associative", "associative"],
  ["blob_array", "blobArray"],
  ["qualify_columns", "qualifyColumns"],
  ["freshness_strict", "freshnessStrict"],
  ["redirect", "redirect"],
  ["raft_index", "raftIndex"],
  ["queue", "queue"],
  ["wait", "wait"],
  ["noleader", "noleader"],
  ["nonvoters", "nonvoters"],
  ["vacuum", "vacuum"],
  ["compress", "compress"],
  ["sync", "sync"],
]);

const VALUED = new Set([
  "timeout",
  "freshness",
  "db_timeout",
  "linearizable_timeout",
  "retries",
  "trailing_logs",
  "q",
  "key",
  "ver",
  "level",
  "fmt",
  "tables",
]);

const LEVELS: ReadonlySet<string> = new Set<LevelParam>(["none", "weak", "linearizable", "strong", "auto"]);

/** The parameters of `query` (without `?`), or the text of the first error. */
export function parseParams(query: string): Params | string {
  const params = new Params();
  const values = new Map<string, string>();
  const error = parseQueryString(query, (key, value) => {
    const flag = FLAGS.get(key);
    if (flag !== undefined) params[flag] = true;
    else if (VALUED.has(key) && !values.has(key)) values.set(key, value);
  });
  return error ?? takeValues(params, values) ?? params;
}

/** Checks in rqlite's order, so that a request with two mistakes is told of the same one first. */
function takeValues(params: Params, values: ReadonlyMap<string, string>): string | undefined {
  if (params.freshnessStrict && !values.has("freshness")) return "freshness_strict requires freshness";
  if (values.size === 0) return undefined;
  for (const key of ["timeout", "freshness", "db_timeout", "linearizable_timeout"] as const) {
    const text = values.get(key);
    if (text === undefined) continue;
    const ms = parseDuration(text);
    if (ms === undefined) return `${key} is not a valid duration`;
    setDuration(params, key, ms);
  }
  for (const key of ["retries", "trailing_logs"] as const) {
    const text = values.get(key);
    if (text !== undefined && !/^[+-]?\d{1,18}$/.test(text)) return `${key} is not a valid integer`;
    if (text !== undefined && key === "trailing_logs") params.trailingLogs = Number(text);
  }
  params.q = values.get("q");
  if (params.q === "") return "query parameter not set";
  params.key = values.get("key");
  params.version = values.get("ver");
  const level = values.get("level")?.toLowerCase();
  if (level !== undefined && level !== "") {
    if (!LEVELS.has(level)) return `level ${JSON.stringify(level)} is unknown: it is none, weak, linearizable, strong or auto`;
    params.level = level as LevelParam;
  }
  const format = values.get("fmt")?.toLowerCase();
  if (format === "sql" || format === "delete") params.format = format;
  const tables = values.get("tables");
  if (tables !== undefined) params.tables = splitList(tables);
  return undefined;
}

function setDuration(params: Params, key: "timeout" | "freshness" | "db_timeout" | "linearizable_timeout", ms: number): void {
  switch (key) {
    case "timeout":
      params.timeoutMs = Math.max(ms, 0);
      break;
    case "freshness":
      if (ms > 0) params.freshnessMs = ms;
      break;
    case "db_timeout":
      if (ms > 0) params.dbTimeoutMs = ms;
      break;
    case "linearizable_timeout":
      params.linearizableTimeoutMs = Math.max(ms, 0);
      break;
  }
}

function splitList(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}
