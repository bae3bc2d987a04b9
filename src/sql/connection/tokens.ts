/**
 * SQL text cut into tokens, as SQLite's tokenizer does it. No rule about what a statement may do rests on this alone: it says where a
 * statement may end (split.ts; SQLite decides) and which tables a view or trigger names before anybody can ask SQLite (authorizer.ts).
 */
import { isSpace, skipBlankSql, skipSpace } from "../command/blank.ts";

const OPEN = 0x28;
const CLOSE = 0x29;
const COLON = 0x3a;
const DOLLAR = 0x24;

/** The position after the token that begins at `start`, where neither white space nor a comment stands. What is not closed goes to the text's end. */
export function tokenEnd(sql: string, start: number): number {
  const code = sql.charCodeAt(start);
  if (isNamePart(code) && code !== DOLLAR) return skipName(sql, start);
  switch (code) {
    case 0x27: // '
    case 0x22: // "
    case 0x60: // `
      return skipQuoted(sql, start);
    case 0x5b: // [
      return closing(sql, start, "]");
    case DOLLAR:
    case 0x40: // @
    case 0x23: // #
    case COLON:
      return skipVariable(sql, start + 1);
    default:
      return start + 1;
  }
}

/** The name that a token stands for, without its quotes. */
export function unquoted(token: string): string {
  const [quote] = token;
  if (quote === "[") return token.slice(1, -1);
  if (quote !== '"' && quote !== "'" && quote !== "`") return token;
  return token.slice(1, -1).replaceAll(quote + quote, quote);
}

/** The first word of the text's first statement behind EXPLAIN, in lower case. */
export function firstWord(sql: string): string {
  for (let i = skipBlankSql(sql); i < sql.length;) {
    const end = tokenEnd(sql, i);
    const word = sql.slice(i, Math.min(end, i + TOKEN_CHARS_MAX)).toLowerCase();
    if (word !== "explain" && word !== "query" && word !== "plan") return word;
    i = skipSpace(sql, end);
  }
  return "";
}

/** Words behind which a string can only be the name of a table. */
const BEFORE_TABLES = new Set(["from", "join", "into", "update", "in", "abort", "fail", "ignore", "replace", "rollback", "to", "."]);

/**
 * True if `table`, in lower case, stands in the text as a name, in quotes or not. SQLite takes a string for a name where a name must stand;
 * a string in a list counts as a string here.
 */
export function namesTable(sql: string, table: string): boolean {
  let before = "";
  for (let i = skipSpace(sql, 0); i < sql.length;) {
    const end = tokenEnd(sql, i);
    const token = sql.slice(i, Math.min(end, i + TOKEN_CHARS_MAX)).toLowerCase();
    if (token === table || isQuoted(token, table, before)) return true;
    before = token;
    i = skipSpace(sql, end);
  }
  return false;
}

/** Longer than any token that matters. */
const TOKEN_CHARS_MAX = 64;

function isQuoted(token: string, name: string, before: string): boolean {
  if (token.length !== name.length + 2 || token.slice(1, -1) !== name) return false;
  return token[0] === "'" ? BEFORE_TABLES.has(before) : true;
}

/** Letters, digits, `_`, `$` and everything beyond ASCII. */
function isNamePart(code: number): boolean {
  return isLetter(code) || (code >= 0x30 && code <= 0x39) || code === 0x5f || code === DOLLAR || code > 0x7f;
}

function isLetter(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a);
}

function skipName(sql: string, start: number): number {
  let i = start;
  while (i < sql.length && isNamePart(sql.charCodeAt(i))) i++;
  return i;
}

/** A quote inside is written twice. */
function skipQuoted(sql: string, start: number): number {
  const quote = sql[start] as string;
  let end = closing(sql, start, quote);
  while (end < sql.length && sql[end] === quote) end = closing(sql, end, quote);
  return end;
}

function closing(sql: string, start: number, mark: string): number {
  const end = sql.indexOf(mark, start + 1);
  return end < 0 ? sql.length : end + 1;
}

/** A variable's name may have `::` in it, and may end with something in parentheses that holds no space. */
function skipVariable(sql: string, start: number): number {
  let i = start;
  for (;;) {
    i = skipName(sql, i);
    if (sql.charCodeAt(i) === COLON && sql.charCodeAt(i + 1) === COLON) i += 2;
    else break;
  }
  if (i === start || sql.charCodeAt(i) !== OPEN) return i;
  while (i < sql.length) {
    const code = sql.charCodeAt(i);
    if (code === CLOSE) return i + 1;
    if (isSpace(code)) return i;
    i++;
  }
  return i;
}
