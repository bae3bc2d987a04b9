/**
 * How many SELECTs a statement has when SQLite has put the views and common table expressions in that it names. SQLite does that while it prepares, where
 * no budget and no deadline is looked at: a kilobyte of expressions that double each other is a billion SELECTs. This counts no less than SQLite does for what
 * is named in FROM; a column of the same name may count as well.
 */
import { skipSpace } from "../command/blank.ts";
import { tokenEnd, unquoted } from "./tokens.ts";

/** SELECTs of one statement at most. FROZEN: it decides outcomes. */
export const SELECTS_MAX = 5000;

const MAY_EXPAND = /\bwith\b/i;

/** Views by their name in lower case: the text that made them. */
export type Views = ReadonlyMap<string, string>;

/** True if the statement has more than `SELECTS_MAX` SELECTs. */
export function isTooLarge(sql: string, views: Views): boolean {
  if (views.size === 0 && !MAY_EXPAND.test(sql)) return false;
  return new Counter(views).count(sql) > SELECTS_MAX;
}

/** What has been counted inside of one pair of parentheses that defines an expression; the outermost frame is the statement. */
interface Frame {
  readonly name: string;
  /** Parentheses that are open outside of it. */
  readonly depth: number;
  selects: number;
}

/** Larger numbers are all alike, and sums of them stay exact. */
const ENOUGH = SELECTS_MAX * 2;

class Counter {
  readonly #views: Views;
  readonly #selectsOfViews = new Map<string, number>();

  constructor(views: Views) {
    this.#views = views;
  }

  count(sql: string): number {
    const expressions = new Map<string, number>();
    const frames: Frame[] = [{ name: "", depth: -1, selects: 0 }];
    const tokens = tokensOf(sql);
    let depth = 0;
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i] as string;
      const frame = frames[frames.length - 1] as Frame;
      if (token === "(") {
        const name = definedBefore(tokens, i);
        if (name !== undefined) frames.push({ name, depth, selects: 0 });
        depth++;
      } else if (token === ")") {
        depth--;
        if (frames.length > 1 && frame.depth === depth) {
          frames.pop();
          expressions.set(frame.name, Math.max(frame.selects, expressions.get(frame.name) ?? 0));
        }
      } else if (token === "select" || token === "values") {
        frame.selects = Math.min(ENOUGH, frame.selects + 1);
      } else if (tokens[i + 1] !== ".") {
        frame.selects = Math.min(ENOUGH, frame.selects + (expressions.get(unquoted(token)) ?? this.#ofView(unquoted(token))));
      }
    }
    return (frames[0] as Frame).selects;
  }

  #ofView(name: string): number {
    const sql = this.#views.get(name);
    if (sql === undefined) return 0;
    const known = this.#selectsOfViews.get(name);
    if (known !== undefined) return known;
    // A view that names itself is an error of SQLite's: it counts as nothing here.
    this.#selectsOfViews.set(name, 0);
    const selects = this.count(sql);
    this.#selectsOfViews.set(name, selects);
    return selects;
  }
}

/** In lower case, comments left out. */
function tokensOf(sql: string): string[] {
  const tokens: string[] = [];
  for (let i = skipSpace(sql, 0); i < sql.length;) {
    const end = tokenEnd(sql, i);
    tokens.push(sql.slice(i, end).toLowerCase());
    i = skipSpace(sql, end);
  }
  return tokens;
}

/** The name in `name [(columns)] AS [[NOT] MATERIALIZED] (`, where the last parenthesis stands at `open`. */
function definedBefore(tokens: readonly string[], open: number): string | undefined {
  let i = open - 1;
  if (tokens[i] === "materialized") i--;
  if (tokens[i] === "not") i--;
  if (tokens[i] !== "as") return undefined;
  i--;
  if (tokens[i] === ")") {
    let depth = 0;
    for (; i >= 0; i--) {
      if (tokens[i] === ")") depth++;
      else if (tokens[i] === "(" && --depth === 0) break;
    }
    i--;
  }
  const name = tokens[i];
  return name === undefined ? undefined : unquoted(name);
}
