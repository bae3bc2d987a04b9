/** Durations as Go writes them (`300ms`, `1.5h`, `2h45m`): the spelling of rqlite's flags and query parameters. */

const UNIT_MS: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** Milliseconds, possibly with a fraction; undefined if `text` is no duration. A bare number is none, except 0. */
export function parseDuration(text: string): number | undefined {
  const sign = text.startsWith("-") ? -1 : 1;
  let position = text.startsWith("-") || text.startsWith("+") ? 1 : 0;
  if (text.slice(position) === "0") return 0;
  if (position === text.length) return undefined;
  let total = 0;
  while (position < text.length) {
    PART.lastIndex = position;
    const match = PART.exec(text);
    if (match === null) return undefined;
    total += Number(match[1]) * (UNIT_MS[match[2] as string] as number);
    position = PART.lastIndex;
  }
  return total === 0 ? 0 : sign * total;
}

/** The shortest spelling of a duration of at least 1 ms: `1s`, `1m30s`, `50ms`. Rounded to milliseconds. */
export function formatDuration(ms: number): string {
  let rest = Math.round(ms);
  if (rest === 0) return "0s";
  let text = "";
  for (const [unit, size] of [
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
    ["ms", 1],
  ] as const) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}
