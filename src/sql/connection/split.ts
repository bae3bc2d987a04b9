/**
 * Where the statements of a text end. This proposes and SQLite decides: a piece is prepared whole, and the next one begins where SQLite
 * stopped reading (`Prepared.length`), so that a difference between the two could drop no statement in silence.
 *
 * A statement ends at a semicolon outside of strings, names and comments; a CREATE TRIGGER at one that stands behind `; END`.
 */
import { isBlankSql, skipSpace } from "../command/blank.ts";
import type { SqlParam } from "../command/command.ts";
import { tokenEnd } from "./tokens.ts";

/** A statement of a text. */
export interface Piece {
  readonly sql: string;
  /** Of the whole text. */
  readonly params: readonly SqlParam[];
  /** The first parameter that earlier statements of the text have left. */
  readonly start: number;
  /** No statement follows. */
  readonly isLast: boolean;
}

/** What became of a piece: the parameters that it took and how far SQLite read it, in UTF-16 code units. Undefined: it failed. */
export type PieceDone = { readonly paramCount: number; readonly length: number } | undefined;

/** Runs the statements of a text from left to right until one fails. True if none did. */
export function runPieces(sql: string, params: readonly SqlParam[], run: (piece: Piece) => PieceDone): boolean {
  if (isSingle(sql)) return run({ sql, params, start: 0, isLast: true }) !== undefined;
  let start = 0;
  let used = 0;
  while (start < sql.length) {
    const end = statementEnd(sql, start);
    const piece = sql.slice(start, end);
    start = end;
    if (isBlankSql(piece)) continue;
    const done = run({ sql: piece, params, start: used, isLast: isBlankSql(sql.slice(end)) });
    if (done === undefined) return false;
    // Where SQLite ends a text: nothing behind it is read.
    if (piece.charCodeAt(done.length) === 0) return true;
    start -= piece.length - done.length;
    used += done.paramCount;
  }
  return true;
}

/** True if the text cannot hold a second statement: nothing stands behind the end of its first. */
export function isSingle(sql: string): boolean {
  const semicolon = sql.indexOf(";");
  if (semicolon < 0 || semicolon === sql.length - 1) return true;
  // A semicolon in a string, a name or a comment is none, and what looks like a comment behind it may stand in one of those too.
  return isBlankSql(sql.slice(statementEnd(sql, 0)));
}

/** The position behind the statement that begins at `start`. A NUL ends the text for SQLite, so it does here. */
export function statementEnd(sql: string, start: number): number {
  let place: Place = "start";
  let i = skipSpace(sql, start);
  while (i < sql.length) {
    if (sql.charCodeAt(i) === 0) return sql.length;
    const end = tokenEnd(sql, i);
    if (end === i + 1 && sql[i] === ";") {
      if (place !== "body" && place !== "semicolon") return end;
      place = "semicolon";
    } else if (place !== "plain") {
      const step: Step = STEPS[place];
      place = (end - i <= WORD_CHARS_MAX ? step.words.get(sql.slice(i, end).toLowerCase()) : undefined) ?? step.other;
    }
    i = skipSpace(sql, end);
  }
  return sql.length;
}

/**
 * What has been read of a statement. `start`: nothing, or EXPLAIN. `create`: CREATE [TEMP]. `body`: inside of CREATE TRIGGER; `semicolon`: the same,
 * behind a semicolon; `end`: behind END there. `plain`: of any other.
 */
type Place = "start" | "create" | "body" | "semicolon" | "end" | "plain";

/** The longest word that matters. */
const WORD_CHARS_MAX = "temporary".length;

/** Where words lead from a place; any other word leads to `other`. */
interface Step {
  readonly words: ReadonlyMap<string, Place>;
  readonly other: Place;
}

const STEPS: Readonly<Record<Exclude<Place, "plain">, Step>> = {
  start: {
    words: new Map([
      ["create", "create"],
      ["explain", "start"],
      ["query", "start"],
      ["plan", "start"],
    ]),
    other: "plain",
  },
  create: {
    words: new Map([
      ["trigger", "body"],
      ["temp", "create"],
      ["temporary", "create"],
    ]),
    other: "plain",
  },
  body: { words: new Map(), other: "body" },
  semicolon: { words: new Map([["end", "end"]]), other: "body" },
  end: { words: new Map(), other: "body" },
};
