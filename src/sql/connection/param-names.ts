/** How many parameters of a statement may have names: SQLite looks each of them up in a list of those before it, when it prepares and when it binds. */
import { skipSpace } from "../command/blank.ts";
import { tokenEnd } from "./tokens.ts";

/** Different names in one text at most. FROZEN: it decides outcomes. */
export const NAMES_MAX = 4096;

/** A text as short as this has no room for so many. Unit: UTF-16 code units. */
const SHORT_TEXT = NAMES_MAX * 3;

/** True if the text has more than `NAMES_MAX` different named parameters. */
export function hasTooManyNames(sql: string): boolean {
  if (sql.length < SHORT_TEXT) return false;
  const names = new Set<string>();
  for (let i = skipSpace(sql, 0); i < sql.length;) {
    const end = tokenEnd(sql, i);
    if (end > i + 1 && isPrefix(sql[i])) names.add(sql.slice(i, end));
    if (names.size > NAMES_MAX) return true;
    i = skipSpace(sql, end);
  }
  return false;
}

function isPrefix(character: string | undefined): boolean {
  return character === ":" || character === "@" || character === "$" || character === "#";
}
