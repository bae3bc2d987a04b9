/** Hexadecimal text to bytes; spaces are ignored. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from((hex.replaceAll(/\s/g, "").match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16)));
}
