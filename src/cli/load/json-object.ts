/**
 * Walks a JSON file that is one object, as an API answers or as GeoJSON is, to find the array in it that holds the records. Nothing is kept but the
 * keys of the outermost object.
 */
import { readPieces } from "./source.ts";

/** Walks text in pieces of any size. */
export class ObjectWalker {
  /** Values at the top of the file. More than one: the file is a sequence. */
  tops = 0;
  /** Keys of the outermost object whose value is an array that begins with an object. */
  readonly arrays: string[] = [];
  #isObject = false;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  #wantsKey = false;
  /** The key being read as it is written, or the last one. */
  #key = "";
  #isInKey = false;
  #isArrayNew = false;

  /** Walks on. Stops behind the bracket that opens the array under `key`, and gives that position; undefined if it is not in `text`. */
  walk(text: string, key?: string): number | undefined {
    for (let at = 0; at < text.length; at++) {
      const character = text[at] as string;
      if (this.#isInString) this.#inString(character);
      else if (!/\s/.test(character) && this.#step(character, key)) return at + 1;
    }
    return undefined;
  }

  #inString(character: string): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (character === "\\") this.#isEscaped = true;
    else if (character === '"') {
      this.#isInString = false;
      this.#isInKey = false;
      return;
    }
    if (this.#isInKey) this.#key += character;
  }

  /** Takes a character outside of strings that is no space; true if it opens the array that is looked for. */
  #step(character: string, key: string | undefined): boolean {
    const wasArrayNew = this.#isArrayNew;
    this.#isArrayNew = false;
    if (this.#depth === 0 && character !== "\uFEFF") {
      this.tops += 1;
      this.#isObject = this.tops === 1 && character === "{";
    }
    switch (character) {
      case '"':
        this.#isInString = true;
        this.#isInKey = this.#isObject && this.#depth === 1 && this.#wantsKey;
        if (this.#isInKey) this.#key = "";
        break;
      case "{":
        if (wasArrayNew) this.arrays.push(plain(this.#key));
        this.#depth += 1;
        if (this.#depth === 1) this.#wantsKey = true;
        break;
      case "[":
        this.#depth += 1;
        this.#isArrayNew = this.#isObject && this.#depth === 2;
        return this.#isArrayNew && key !== undefined && plain(this.#key) === key;
      case "}":
      case "]":
        this.#depth = Math.max(0, this.#depth - 1);
        break;
      case ",":
      case ":":
        if (this.#depth === 1) this.#wantsKey = character === ",";
    }
    return false;
  }
}

/** A key without its escapes; as it is written if they are none. */
function plain(written: string): string {
  try {
    return String(JSON.parse(`"${written}"`));
  } catch (error) {
    if (error instanceof SyntaxError) return written;
    throw error;
  }
}

/** Keys under which answers of services usually have their records. */
const USUAL = ["data", "results", "records", "rows", "items"];

/**
 * The key of the array of records in a file that is one object: `features` of GeoJSON, or the only array of objects, or the only one with a usual
 * name. Undefined if the file is something else; several keys if it cannot be told.
 */
export async function findRecordsKey(file: string): Promise<string | undefined | readonly string[]> {
  const walker = new ObjectWalker();
  for await (const { text } of readPieces(file)) {
    // An array, or a second value: there is no object around the records.
    if (walker.tops === 0 && /^[\s\uFEFF]*[^\s{\uFEFF]/.test(text)) return undefined;
    walker.walk(text);
    if (walker.tops > 1) return undefined;
  }
  const { arrays } = walker;
  if (walker.tops !== 1 || arrays.length === 0) return undefined;
  if (arrays.includes("features")) return "features";
  if (arrays.length === 1) return arrays[0];
  const usual = arrays.filter((key) => USUAL.includes(key));
  return usual.length === 1 ? usual[0] : arrays;
}

/** The columns of a GeoJSON feature: its id, its properties, its geometry. Anything else stays as it is. */
export function flattenFeature(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { type, id, properties, geometry } = value;
  if (type !== "Feature" || typeof properties !== "object" || properties === null || Array.isArray(properties)) return value;
  return { ...(id !== undefined && { id }), ...properties, geometry: geometry ?? null };
}
