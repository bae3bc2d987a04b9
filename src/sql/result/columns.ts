/** How the values of a result column are written: decided once per prepared statement from the column's declared type, as rqlite does. */
import type { ResultFormat } from "../command/command.ts";

/**
 * `plain`: by the value's own type. `boolean`: integers as true and false. `date`: integers and text as RFC 3339. `text`: BLOBs as
 * strings. The declared types behind each are rqlite's (reference/rqlite.md 1.6).
 */
export type ColumnKind = "plain" | "boolean" | "date" | "text";

/** A result column. */
export interface ColumnPlan {
  readonly name: string;
  /** The name as a JSON string. */
  readonly nameJson: string;
  /** The declared type in lower case; empty for an expression, whose type is then that of its first value. */
  readonly type: string;
  readonly typeJson: string;
  readonly kind: ColumnKind;
  /** The table that it stands in; empty for an expression. */
  readonly table: string;
}

/** The format of a result, with defaults filled in. */
export interface FilledFormat {
  readonly associative: boolean;
  readonly blobArray: boolean;
  readonly qualifyColumns: boolean;
}

/** Fills in defaults. */
export function fillFormat(format: ResultFormat | undefined): FilledFormat {
  return {
    associative: format?.associative === true,
    blobArray: format?.blobArray === true,
    qualifyColumns: format?.qualifyColumns === true,
  };
}

/** The plan of a column as node:sqlite describes it. */
export function columnPlan(column: { readonly name: string; readonly type: string | null; readonly table: string | null }): ColumnPlan {
  const type = (column.type ?? "").toLowerCase();
  const { name, table } = column;
  return { name, nameJson: JSON.stringify(name), type, typeJson: JSON.stringify(type), kind: kindOf(type), table: table ?? "" };
}

const qualified = new WeakMap<readonly ColumnPlan[], readonly ColumnPlan[]>();

/** The same columns, those of tables named `table.column`. */
export function qualifyColumns(columns: readonly ColumnPlan[]): readonly ColumnPlan[] {
  let plans = qualified.get(columns);
  if (plans === undefined) {
    plans = columns.map((column) => {
      const name = column.table === "" ? column.name : `${column.table}.${column.name}`;
      return { ...column, name, nameJson: JSON.stringify(name) };
    });
    qualified.set(columns, plans);
  }
  return plans;
}

function kindOf(type: string): ColumnKind {
  switch (type) {
    case "boolean":
      return "boolean";
    case "timestamp":
    case "datetime":
    case "date":
      return "date";
    case "":
    case "text":
    case "json":
    case "clob":
      return "text";
    default:
      return type.startsWith("varchar") || type.startsWith("nchar") || type.startsWith("nvarchar") ? "text" : "plain";
  }
}
