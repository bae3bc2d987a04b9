/** Cuts the text of a JSON array's inside into its elements, for a batch whose results go back to several requests. */

/** The elements of `inside` (what stands between `[` and `]`; compact, valid JSON), in order. */
export function splitElements(inside: string): string[] {
  const elements: string[] = [];
  if (inside === "") return elements;
  let depth = 0;
  let start = 0;
  for (let i = 0; i < inside.length; i++) {
    switch (inside.charCodeAt(i)) {
      case 0x22: // quote
        i = endOfString(inside, i);
        break;
      case 0x5b: // [
      case 0x7b: // {
        depth++;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
        break;
      case 0x2c: // comma
        if (depth === 0) {
          elements.push(inside.slice(start, i));
          start = i + 1;
        }
        break;
      default:
    }
  }
  elements.push(inside.slice(start));
  return elements;
}

/** The position of the quote that ends the string beginning at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length) {
    const code = text.charCodeAt(i);
    if (code === 0x22) return i;
    i += code === 0x5c ? 2 : 1;
  }
  return i;
}

/** The error of one result, or undefined if it has none. */
export function errorOfResult(element: string): string | undefined {
  if (!element.includes('"error":')) return undefined;
  const { error } = JSON.parse(element) as { readonly error?: unknown };
  return typeof error === "string" ? error : undefined;
}
