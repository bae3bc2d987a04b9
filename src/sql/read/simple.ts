/**
 * Which statements are simple: made of steps each of which takes about a microsecond, whatever the rows, so that a limit on the time between
 * steps is a limit on the whole. SQLite's own program of the statement says so, by a list of operations that are allowed. Not on it: functions,
 * aggregates, sorting, `count(*)` (one operation that walks a table), virtual tables.
 */
import type { Connection } from "../connection/connection.ts";

/** Finding a row by its rowid or in an index, walking from there, comparing, and giving columns. */
const SIMPLE = new Set(
  (
    "Init Goto Halt Transaction OpenRead ReopenIdx Close Noop Explain Once " +
    "Integer Int64 Real String String8 Null Variable Copy SCopy Move " +
    "Affinity RealAffinity MustBeInt MakeRecord " +
    "SeekRowid NotExists SeekGE SeekGT SeekLE SeekLT IdxGE IdxGT IdxLE IdxLT Found NotFound NoConflict DeferredSeek " +
    "Rewind Last Next Prev IfNullRow NullRow " +
    "Column Rowid IdxRowid ResultRow " +
    "Eq Ne Lt Le Gt Ge Jump If IfNot IsNull NotNull And Or Not IfPos OffsetLimit DecrJumpZero Add Subtract Multiply"
  ).split(" "),
);

/** The place of the operation's name in a row of EXPLAIN. */
const OPCODE = 1;

/** True if `sql`, a statement that has been prepared for reading, is simple. Needs the authorizer's mode "own". */
export function isSimpleRead(connection: Connection, sql: string): boolean {
  const program = connection.own(`EXPLAIN ${sql}`).all();
  return program.every((row) => SIMPLE.has(String(row[OPCODE])));
}
