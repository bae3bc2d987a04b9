/**
 * The query string of a request, split and unescaped as Go's `url.ParseQuery` does it, so that a mistake gets the text that
 * rqlite's clients know: `&` separates, `+` is a space, a semicolon or a broken `%` escape is an error.
 */

/** Calls `take` for every key and value in order. The error text, or undefined if there is none. */
export function parseQueryString(query: string, take: (key: string, value: string) => void): string | undefined {
  let start = 0;
  while (start <= query.length) {
    const ampersand = query.indexOf("&", start);
    const end = ampersand < 0 ? query.length : ampersand;
    if (end > start) {
      const error = parsePair(query.slice(start, end), take);
      if (error !== undefined) return error;
    }
    start = end + 1;
  }
  return undefined;
}

function parsePair(pair: string, take: (key: string, value: string) => void): string | undefined {
  if (pair.includes(";")) return "invalid semicolon separator in query";
  const equals = pair.indexOf("=");
  const key = unescapeQuery(equals < 0 ? pair : pair.slice(0, equals));
  if (typeof key !== "string") return key.error;
  const value = equals < 0 ? "" : unescapeQuery(pair.slice(equals + 1));
  if (typeof value !== "string") return value.error;
  take(key, value);
  return undefined;
}

const BAD_ESCAPE = /%(?![0-9a-fA-F]{2})/;

function unescapeQuery(text: string): string | { readonly error: string } {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  const bad = BAD_ESCAPE.exec(spaced);
  if (bad !== null) return { error: `invalid URL escape ${JSON.stringify(spaced.slice(bad.index, bad.index + 3))}` };
  try {
    return decodeURIComponent(spaced);
  } catch {
    // Escapes that are no UTF-8: keep what is text, as a Go string would, with the replacement character for the rest.
    const bytes = Buffer.from(
      spaced.replace(/%([0-9a-fA-F]{2})|[^%]+/g, (part, hex: string | undefined) => hex ?? Buffer.from(part).toString("hex")),
      "hex",
    );
    return bytes.toString("utf8");
  }
}
