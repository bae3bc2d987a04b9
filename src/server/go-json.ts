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

/** Any JSON value with Go's string escapes and every digit of a bigint. Objects keep the order of their keys; undefined members are left out. */
export function goJson(value: unknown): string {
  return JSON.stringify(value, exactInteger).replace(HTML_SIGNIFICANT, escapeCode);
}

/** ECMAScript 2026, in Node since 22; not yet in TypeScript's library. */
const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown };

function exactInteger(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? rawJSON(String(value)) : value;
}
