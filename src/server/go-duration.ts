/** Printing durations as Go does: rqlite's `time_s` of /nodes and the settings of /status. Reading them is base's. */

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
