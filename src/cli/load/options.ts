/** The options of `pumice load`: one declaration gives the parser and the help. */
import { parseArgs } from "node:util";
import { parseDuration } from "../../base/mod.ts";

interface OptionOf {
  readonly kind: "text" | "texts" | "switch";
  /** What stands for the value in help; "" for a switch. */
  readonly value: string;
  readonly help: string;
}

const OPTIONS = {
  table: { kind: "text", value: "NAME", help: "the table to load into (CSV and JSON)" },
  create: { kind: "switch", value: "", help: "make the table, with types inferred from the whole file" },
  type: { kind: "texts", value: "COLUMN=TYPE", help: "with --create: the type of a column instead of the inferred one; may be repeated" },
  "on-error": {
    kind: "text",
    value: "stop|skip",
    help: "at a broken record or one that the table refuses: stop (default), or skip and count it",
  },
  null: { kind: "text", value: "TEXT", help: "CSV: the field without quotes that means NULL (default: the empty one)" },
  delimiter: { kind: "text", value: "CHARACTER", help: "CSV: what stands between fields (default: a comma; a tab for .tsv)" },
  columns: { kind: "text", value: "A,B,...", help: "CSV: the names of the columns, in place of a header or for a file without one" },
  header: { kind: "text", value: "skip|none", help: "CSV, with --columns: whether the file begins with a header, which is passed over" },
  records: {
    kind: "text",
    value: "KEY",
    help: "JSON: the key of the one object in the file under which the array of records stands (default: found)",
  },
  format: { kind: "text", value: "csv|json|ndjson|sql|db", help: "the format of the file (default: by its ending)" },
  url: { kind: "text", value: "URL", help: "the node (default: http://localhost:4001, or PUMICE_URL)" },
  user: { kind: "text", value: "NAME:PASSWORD", help: "for a node with -auth (default: PUMICE_USER)" },
  "batch-rows": { kind: "text", value: "N", help: "most records in one transaction (default 2000)" },
  wait: {
    kind: "text",
    value: "DURATION",
    help: "how long to wait for a node that does not answer, as 30s or 5m (default 60s; a number alone is seconds)",
  },
  restart: { kind: "switch", value: "", help: "forget where an interrupted load of this file stood; its rows stay in the table" },
  replace: { kind: "switch", value: "", help: "a .db file: replace a database that is not empty" },
} as const satisfies Record<string, OptionOf>;

/** What kind of file it is. */
export type Format = "csv" | "json" | "ndjson" | "sql" | "db";

/** What `pumice load` was asked to do. */
export interface LoadOptions {
  /** "-": standard input. */
  readonly file: string;
  /** The file as the command names it. */
  readonly name: string;
  readonly format: Format;
  /** "" for formats that name their own tables. */
  readonly table: string;
  readonly create: boolean;
  readonly types: ReadonlyMap<string, string>;
  readonly skipBroken: boolean;
  readonly nullText: string;
  readonly delimiter: string;
  readonly columns: readonly string[] | undefined;
  /** Whether a file with given columns begins with a header; undefined: nobody said. */
  readonly header: "skip" | "none" | undefined;
  /** The key of the array of records in a JSON file that is one object. */
  readonly recordsKey: string | undefined;
  readonly url: URL;
  readonly user: string;
  readonly batchRows: number;
  readonly waitMs: number;
  readonly restart: boolean;
  readonly replace: boolean;
}

/** The options, or the one problem that stops the load. */
export type LoadArguments = { readonly ok: true; readonly options: LoadOptions } | { readonly ok: false; readonly problem: string };

/** The text of `pumice load --help`. */
export function loadHelp(): string {
  const lines = [
    "pumice load FILE --table NAME [OPTIONS]",
    "COMMAND | pumice load - --format FORMAT --table NAME [OPTIONS]",
    "",
    "Sends a file to a running node. CSV, JSON (an array of objects, also one in an object, also GeoJSON) and NDJSON go into one table;",
    "a .sql file is run and a .db file (SQLite) replaces the database. A load that was interrupted goes on where it stopped when the same",
    "command is run again.",
    "",
  ];
  for (const [name, { value, help }] of Object.entries<OptionOf>(OPTIONS))
    lines.push(`    --${name}${value === "" ? "" : ` ${value}`}`, `        ${help}`);
  return `${lines.join("\n")}\n`;
}

interface Given {
  readonly values: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;
  readonly positionals: readonly string[];
}

/** Reads and checks the arguments behind `pumice load`. */
export function readLoadArguments(args: readonly string[], environment: Readonly<Record<string, string | undefined>>): LoadArguments {
  let given: Given;
  try {
    given = parseArgs({ args: [...args], allowPositionals: true, strict: true, options: parserOptions() });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return {
      ok: false,
      problem: `${(error.message.split(/\. To specify/)[0] ?? "").replaceAll("\n", " ")}; "pumice load --help" lists all options`,
    };
  }
  const text = (name: keyof typeof OPTIONS): string | undefined => given.values[name] as string | undefined;
  const [file, second] = given.positionals;
  if (file === undefined) return { ok: false, problem: "the file is missing: pumice load FILE --table NAME" };
  if (second !== undefined) return { ok: false, problem: `one file at a time: what is "${second}"?` };
  const format = formatOf(file, text("format"));
  if (format === undefined)
    return {
      ok: false,
      problem: `the format of ${file === "-" ? "standard input" : file} is unknown: give --format csv, json, ndjson, sql or db`,
    };
  const url = URL.parse(text("url") ?? environment["PUMICE_URL"] ?? "http://localhost:4001");
  if (url === null || !/^https?:$/.test(url.protocol)) return { ok: false, problem: "--url is an address like http://localhost:4001" };
  const batchRows = Number(text("batch-rows") ?? 2000);
  const waitMs = readWait(text("wait") ?? "60s");
  const types = readTypes((given.values["type"] ?? []) as readonly string[]);
  const options: LoadOptions = {
    file,
    name: file,
    format,
    table: text("table") ?? "",
    create: given.values["create"] === true,
    types: types ?? new Map(),
    skipBroken: text("on-error") === "skip",
    nullText: text("null") ?? "",
    delimiter: delimiterOf(file, text("delimiter")),
    columns: text("columns")
      ?.split(",")
      .map((name) => name.trim()),
    header: text("header") as LoadOptions["header"],
    recordsKey: text("records"),
    url,
    user: text("user") ?? environment["PUMICE_USER"] ?? "",
    batchRows,
    waitMs,
    restart: given.values["restart"] === true,
    replace: given.values["replace"] === true,
  };
  if (types === undefined) return { ok: false, problem: "--type is COLUMN=TYPE, as --type population=INTEGER" };
  if (!["stop", "skip"].includes(text("on-error") ?? "stop")) return { ok: false, problem: "--on-error is stop or skip" };
  if (!["skip", "none"].includes(text("header") ?? "none")) return { ok: false, problem: "--header is skip or none" };
  const problem = problemOf(options);
  return problem === undefined ? { ok: true, options } : { ok: false, problem };
}

function problemOf(options: LoadOptions): string | undefined {
  const isRecords = ["csv", "json", "ndjson"].includes(options.format);
  if (isRecords && options.table === "") return "the table is missing: --table NAME";
  if (!isRecords && options.table !== "") return `--table is for CSV and JSON; a .${options.format} file names its own tables`;
  if (options.types.size > 0 && !options.create) return "--type goes with --create: an existing table has its types";
  if (options.header !== undefined && options.columns === undefined)
    return "--header goes with --columns: without it the header has the names";
  if (options.recordsKey !== undefined && options.format !== "json") return "--records is for JSON";
  if (options.delimiter.length !== 1 || ['"', "\n", "\r"].includes(options.delimiter))
    return "--delimiter is one character, and neither a quote nor a line break";
  if (!Number.isSafeInteger(options.batchRows) || options.batchRows < 1 || options.batchRows > 100_000)
    return "--batch-rows is a whole number from 1 to 100000";
  if (!Number.isFinite(options.waitMs) || options.waitMs < 0) return "--wait is a duration (as 30s, 5m) or a number of seconds";
  return undefined;
}

function parserOptions(): Record<string, { type: "string" | "boolean"; multiple: boolean }> {
  const options: Record<string, { type: "string" | "boolean"; multiple: boolean }> = {};
  for (const [name, { kind }] of Object.entries<OptionOf>(OPTIONS))
    options[name] = { type: kind === "switch" ? "boolean" : "string", multiple: kind === "texts" };
  return options;
}

const ENDINGS: Readonly<Record<string, Format>> = {
  csv: "csv",
  tsv: "csv",
  json: "json",
  ndjson: "ndjson",
  jsonl: "ndjson",
  sql: "sql",
  db: "db",
  sqlite: "db",
  sqlite3: "db",
};

function formatOf(file: string, given: string | undefined): Format | undefined {
  if (given !== undefined) return (["csv", "json", "ndjson", "sql", "db"] as const).find((format) => format === given);
  return ENDINGS[file.slice(file.lastIndexOf(".") + 1).toLowerCase()];
}

/** Milliseconds; NaN if it is neither a duration nor a number of seconds. */
function readWait(text: string): number {
  return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1000 : (parseDuration(text) ?? Number.NaN);
}

function delimiterOf(file: string, given: string | undefined): string {
  if (given === undefined) return file.toLowerCase().endsWith(".tsv") ? "\t" : ",";
  return given === "\\t" || given === "tab" ? "\t" : given;
}

function readTypes(texts: readonly string[]): Map<string, string> | undefined {
  const types = new Map<string, string>();
  for (const text of texts) {
    const match = /^(.+)=([A-Za-z][A-Za-z0-9 (),]*)$/.exec(text);
    if (match === null) return undefined;
    types.set(match[1] as string, match[2] as string);
  }
  return types;
}
