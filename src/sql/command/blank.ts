/** Where SQL text has no statement. SQLite runs nothing for such text, and gives no result for it. */

const SEMICOLON = 0x3b;
const MINUS = 0x2d;
const SLASH = 0x2f;
const STAR = 0x2a;
/** White space for SQLite, but inside of a name. */
const BYTE_ORDER_MARK = 0xfeff;

/** True if `sql` has no statement: white space, comments and semicolons only. */
export function isBlankSql(sql: string): boolean {
  return skipBlankSql(sql) === sql.length;
}

/** The position of the first character that belongs to a statement; the text's end if there is none. */
export function skipBlankSql(sql: string): number {
  let i = skipSpace(sql, 0);
  while (i < sql.length && sql.charCodeAt(i) === SEMICOLON) i = skipSpace(sql, i + 1);
  return i;
}

/** The position of the first character from `start` on that is neither white space nor in a comment; the text's end if there is none. */
export function skipSpace(sql: string, start: number): number {
  let i = start;
  while (i < sql.length) {
    const code = sql.charCodeAt(i);
    if (isSpace(code) || code === BYTE_ORDER_MARK) {
      i++;
    } else if (code === MINUS && sql.charCodeAt(i + 1) === MINUS) {
      const newline = sql.indexOf("\n", i);
      i = newline < 0 ? sql.length : newline + 1;
    } else if (code === SLASH && sql.charCodeAt(i + 1) === STAR && i + 2 < sql.length) {
      const end = sql.indexOf("*/", i + 2);
      i = end < 0 ? sql.length : end + 2;
    } else {
      return i;
    }
  }
  return sql.length;
}

/** SQLite's white space: tab, newline, form feed, carriage return, space. */
export function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0c || code === 0x0d;
}
