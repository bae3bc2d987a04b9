/** Durations in Go's syntax, as rqlite's clients and operators write them: `300ms`, `1.5h`, `2h45m`, `-1s`, `0`. */

const NS_PER_UNIT: ReadonlyMap<string, number> = new Map([
  ["ns", 1],
  ["us", 1e3],
  ["\u00b5s", 1e3],
  ["\u03bcs", 1e3],
  ["ms", 1e6],
  ["s", 1e9],
  ["m", 60e9],
  ["h", 3600e9],
]);

/** A number, then a unit. The number has a digit on at least one side of its point. */
const PART = /(\d+\.?\d*|\.\d+)([^\d.]+)/y;

/** Go's durations are 64-bit counts of nanoseconds; a longer one is an error there, and so it is here. */
const MAX_NS = 2 ** 63;

const NS_PER_MS = 1e6;

/** Milliseconds, with fractions, or undefined if `text` is no duration. Source: Go, package time, ParseDuration. */
export function parseGoDuration(text: string): number | undefined {
  const negative = text.startsWith("-");
  const body = negative || text.startsWith("+") ? text.slice(1) : text;
  if (body === "0") return 0;
  if (body === "") return undefined;
  let ns = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < body.length) {
    const part = PART.exec(body);
    const unit = part === null ? undefined : NS_PER_UNIT.get(part[2] as string);
    if (part === null || unit === undefined) {
      PART.lastIndex = 0;
      return undefined;
    }
    ns += Number(part[1]) * unit;
  }
  PART.lastIndex = 0;
  if (ns >= MAX_NS) return undefined;
  return (negative ? -ns : ns) / NS_PER_MS;
}

/** `ns` nanoseconds (a non-negative integer) as Go prints a duration: `0s`, `21.1µs`, `1.5ms`, `2h45m0s`. */
export function formatGoDuration(ns: number): string {
  if (ns === 0) return "0s";
  if (ns < 1e3) return `${String(ns)}ns`;
  if (ns < 1e6) return `${decimal(ns, 3)}\u00b5s`;
  if (ns < 1e9) return `${decimal(ns, 6)}ms`;
  const hours = Math.floor(ns / 3600e9);
  const minutes = Math.floor(ns / 60e9) % 60;
  const seconds = `${decimal(ns % 60e9, 9)}s`;
  if (hours > 0) return `${String(hours)}h${String(minutes)}m${seconds}`;
  return minutes > 0 ? `${String(minutes)}m${seconds}` : seconds;
}

/** `value` / 10^`places`, exactly, without trailing zeros. */
function decimal(value: number, places: number): string {
  const digits = String(value).padStart(places + 1, "0");
  const whole = digits.slice(0, -places);
  const fraction = digits.slice(-places).replace(/0+$/, "");
  return fraction === "" ? whole : `${whole}.${fraction}`;
}
