/** Medians with spread, and tables of them, for every benchmark. */

/** The middle of several measurements of one figure, and how far they lay apart. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** Median, least and greatest of `values`. At least one value. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)!, count: sorted.length };
}

/** `a[i] / b[i]` for the measurements of the same round, and their spread: holds when the machine's speed drifts between rounds. */
export function ratioOf(a: readonly number[], b: readonly number[]): Spread {
  return spreadOf(a.map((value, i) => value / b[i]!));
}

/** "12,345 (11,900..13,000)". */
export function formatSpread(spread: Spread, digits = 0): string {
  const show = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: digits, minimumFractionDigits: digits });
  return `${show(spread.median)} (${show(spread.min)}..${show(spread.max)})`;
}

/** Prints rows of text in aligned columns, the first row being the heading. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  for (const [i, row] of rows.entries()) {
    console.log(row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join("  "));
    if (i === 0) console.log(widths.map((width) => "-".repeat(width)).join("  "));
  }
}
