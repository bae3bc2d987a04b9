/** Data directories that earlier versions wrote, unpacked where a test may change them. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";

const FIXTURES = join(import.meta.dirname, "../fixtures");

/** Unpacks the fixture `name` into `target`, which is made. */
export function unpackFixture(name: string, target: string): void {
  const source = join(FIXTURES, name);
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const packed = join(entry.parentPath, entry.name);
    const path = join(target, packed.slice(source.length).replace(/\.gz$/, ""));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, gunzipSync(readFileSync(packed)));
  }
}
