/** How the values of a result column are written: decided once per prepared statement from the column's declared type, as rqlite does. */
import type { ResultFormat } from "./command.ts";

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
}

/** The format of a result, with defaults filled in. */
export interface FilledFormat {
  readonly associative: boolean;
  readonly blobArray: boolean;
}

/** Fills in defaults. */
export function fillFormat(format: ResultFormat | undefined): FilledFormat {
  return { associative: format?.associative === true, blobArray: format?.blobArray === true };
}

/** The plan of a column as node:sqlite describes it. */
export function columnPlan(column: { readonly name: string; readonly type: string | null }): ColumnPlan {
  const type = (column.type ?? "").toLowerCase();
  return { name: column.name, nameJson: JSON.stringify(column.name), type, typeJson: JSON.stringify(type), kind: kindOf(type) };
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
