/**
 * As much XML as S3's answers hold: elements and text. Attributes, comments and the prolog are passed over; there is no DTD, and so no
 * entities but the five of XML itself and numbers. What is not well-formed is refused: half an answer must not look like a short one.
 */

/** An element: its own text, and its children in order. */
export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface OpenElement {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

const TOKEN = /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<(\/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y;

/** The root element; undefined if the text is no well-formed document of this kind. */
export function parseXml(source: string): XmlElement | undefined {
  const root: OpenElement = { name: "", text: "", children: [] };
  const stack: OpenElement[] = [root];
  const token = new RegExp(TOKEN);
  token.lastIndex = source.startsWith("\ufeff") ? 1 : 0;
  while (token.lastIndex < source.length) {
    const match = token.exec(source);
    if (match === null) return undefined;
    const [, slash, name, , selfClosing, text] = match;
    const top = stack.at(-1) as OpenElement;
    if (text !== undefined) {
      const decoded = decodeEntities(text);
      if (decoded === undefined) return undefined;
      top.text += decoded;
    } else if (name !== undefined) {
      if (slash === "/") {
        if (stack.length === 1 || top.name !== localName(name)) return undefined;
        stack.pop();
      } else {
        const element: OpenElement = { name: localName(name), text: "", children: [] };
        top.children.push(element);
        if (selfClosing !== "/") stack.push(element);
      }
    }
  }
  const [only] = root.children;
  return stack.length === 1 && root.children.length === 1 && root.text.trim() === "" ? only : undefined;
}

/** The children of that name. */
export function childrenOf(element: XmlElement, name: string): readonly XmlElement[] {
  return element.children.filter((child) => child.name === name);
}

/** The text of the first child of that name, if there is one. */
export function textOf(element: XmlElement, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text;
}

/** `text` with what XML reserves written as entities. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

function localName(name: string): string {
  return name.slice(name.indexOf(":") + 1);
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function decodeEntities(text: string): string | undefined {
  if (!text.includes("&")) return text;
  let isValid = true;
  const decoded = text.replace(/&(?:#(\d{1,7})|#x([\da-fA-F]{1,6})|(\w+));|&/g, (_, decimal?: string, hex?: string, name?: string) => {
    const code = decimal !== undefined ? Number(decimal) : hex !== undefined ? Number.parseInt(hex, 16) : undefined;
    const value =
      code === undefined ? (name === undefined ? undefined : ENTITIES[name]) : code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
    if (value === undefined) isValid = false;
    return value ?? "";
  });
  return isValid ? decoded : undefined;
}
