/** Whose statement is asked about, and what is answered when it is refused. */

/**
 * Whose statements: `own`: ours. `vacuum`: what VACUUM does inside. `write`: a user's, in an entry of the log. `script`: the same, of a
 * dump. `read`: a user's, on a reader.
 */
export type AuthorizerMode = "own" | "vacuum" | "write" | "script" | "read";

/** Why a statement was refused: an error of the statement, or of the whole request. */
export interface Refusal {
  readonly scope: "statement" | "request";
  readonly text: string;
}
