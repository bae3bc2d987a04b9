/** What the README and docs/operating.md tell the reader to type does what they say. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { flagTable } from "../../src/cli/help.ts";
import { walk } from "./support/walk.ts";

test("the tour of the README prints what it shows", async () => {
  assert.ok((await walk("README.md")) >= 6);
});

test("the examples of docs/operating.md print what they show", async () => {
  assert.ok((await walk("docs/operating.md")) >= 5);
});

test("docs/operating.md lists every flag as it is declared", () => {
  const page = readFileSync(new URL("../../docs/operating.md", import.meta.url), "utf8");
  assert.ok(page.includes(flagTable()), `the table should be:\n${flagTable()}`);
});
