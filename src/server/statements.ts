/**
 * The bodies of requests: a JSON array whose elements are SQL text, or arrays of SQL text and parameters, positional ones and objects
 * of named ones mixed at will. The texts of errors are rqlite's.
 */
import { isUtf8 } from "node:buffer";
import { NumberRangeError, parseExactJson, Real } from "./exact-json.ts";
import { HttpError } from "./http-error.ts";
import type { SqlParam, SqlValue, Statement } from "../sql/mod.ts";

/** The statements of a JSON body. @throws HttpError 400 for a body that is none, 413 if there are more than `limit` statements. */
export function parseStatements(body: Buffer, limit: number): Statement[] {
  if (body.length === 0) throw new HttpError(400, "no statements");
  const parsed = parseBody(textOf(body));
  if (parsed === null) throw new HttpError(400, "no statements");
  if (!Array.isArray(parsed)) throw new HttpError(400, "invalid request");
  const elements = parsed as readonly unknown[];
  if (elements.length === 0) throw new HttpError(400, "no statements");
  if (elements.length > limit) {
    throw new HttpError(413, `too many statements: ${String(elements.length)}, the limit is ${String(limit)} (-http-max-statements)`);
  }
  const statements: Statement[] = [];
  for (const element of elements) statements.push(parseStatement(element));
  return statements;
}

function parseBody(text: string): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    if (error instanceof NumberRangeError) throw new HttpError(400, error.message);
    // The parser's own text is not passed on: it quotes the body.
    throw new HttpError(400, "invalid JSON body");
  }
}

/** Text that is one statement as it stands. @throws HttpError 400 */
export function oneStatement(text: string): Statement[] {
  return [{ sql: wholeSql(text) }];
}

/** The text of a body. @throws HttpError 400 for one that is not UTF-8: its letters would be lost for good */
export function textOf(body: Buffer): string {
  if (isUtf8(body)) return body.toString("utf8");
  throw new HttpError(400, `the body is not UTF-8 at byte ${String(brokenAt(body))}`);
}

/** The byte that makes `body` no UTF-8; its length if a character is cut off at the end. */
function brokenAt(body: Buffer): number {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let at = 0; at < body.length; at++) {
    try {
      decoder.decode(body.subarray(at, at + 1), { stream: true });
    } catch (error) {
      if (error instanceof TypeError) return at;
      throw error;
    }
  }
  return body.length;
}

/** `sql`, of which SQLite reads all. @throws HttpError 400 for a NUL, at which SQLite would stop, and what follows be lost in silence */
export function wholeSql(sql: string): string {
  const nul = sql.indexOf("\0");
  if (nul < 0) return sql;
  throw new HttpError(400, `the SQL text has a NUL character at position ${String(nul)}, where SQLite would end it: write char(0) instead`);
}

function parseStatement(element: unknown): Statement {
  if (typeof element === "string") return { sql: wholeSql(element) };
  if (!Array.isArray(element)) throw new HttpError(400, "invalid request");
  const items = element as readonly unknown[];
  if (items.length === 0) throw new HttpError(400, "no statements");
  const sql = items[0];
  if (typeof sql !== "string") throw new HttpError(400, "invalid request");
  wholeSql(sql);
  if (items.length === 1) return { sql };
  const params: SqlParam[] = [];
  for (let i = 1; i < items.length; i++) addParams(params, items[i]);
  return { sql, params };
}

function addParams(params: SqlParam[], item: unknown): void {
  if (typeof item === "object" && item !== null && !Array.isArray(item) && !(item instanceof Real)) {
    for (const [name, value] of Object.entries(item)) params.push({ name, value: toSqlValue(value) });
  } else {
    params.push(toSqlValue(item));
  }
}

/** What SQLite is given for a JSON value. @throws HttpError 400 */
function toSqlValue(value: unknown): SqlValue {
  if (typeof value === "string") return toTextOrBlob(value);
  if (typeof value === "number") return Number.isInteger(value) ? BigInt(value) : value;
  if (typeof value === "bigint" || typeof value === "boolean" || value === null) return value;
  if (value instanceof Real) return value.value;
  if (Array.isArray(value)) return toBlob(value);
  throw new HttpError(400, "unsupported type: a parameter is an object inside of another");
}

const HEX_BLOB = /^[xX]'((?:[0-9a-fA-F]{2})*)'$/;

/** A string that reads as a blob literal of SQL is a blob. */
function toTextOrBlob(text: string): string | Uint8Array {
  if (!text.includes("'")) return text;
  const match = HEX_BLOB.exec(text.trim());
  return match === null ? text : new Uint8Array(Buffer.from(match[1] as string, "hex"));
}

function toBlob(values: readonly unknown[]): Uint8Array {
  const bytes = new Uint8Array(values.length);
  for (const [index, value] of values.entries()) {
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 255) {
      throw new HttpError(400, "unsupported type: an array must hold integers from 0 to 255, the bytes of a blob");
    }
    bytes[index] = value;
  }
  return bytes;
}
