/** Pieces of JSON as Go's encoder writes them, so that answers are rqlite's byte for byte. */

const HTML_SIGNIFICANT = /[<>&\u2028\u2029]/g;

/** `text` as a JSON string; `<`, `>`, `&`, U+2028 and U+2029 are escaped, as Go does by default. */
export function goString(text: string): string {
  return JSON.stringify(text).replace(HTML_SIGNIFICANT, escapeCode);
}

function escapeCode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Milliseconds as seconds with nanosecond precision, written as Go writes a float64. */
export function goSeconds(ms: number): string {
  return String(Math.round(ms * 1e6) / 1e9);
}

/** Any JSON value with Go's string escapes. Objects keep the order of their keys; members that are undefined are left out. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(HTML_SIGNIFICANT, escapeCode);
}
