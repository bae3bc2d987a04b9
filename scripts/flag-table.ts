/** Writes the table of flags into docs/operating.md, from the declarations. */
import { readFileSync, writeFileSync } from "node:fs";
import { flagTable } from "../src/cli/help.ts";

const page = new URL("../docs/operating.md", import.meta.url);
const text = readFileSync(page, "utf8");
writeFileSync(
  page,
  text.replace(/FLAGTABLE|\| Flag \| Default \| Meaning \|\n(?:\|.*\n?)+/, () => `${flagTable()}\n`),
);
