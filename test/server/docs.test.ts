/** Every example of docs/http-api.md, run against a real node in the order of the page. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { TestNode } from "./support/node.ts";

interface Example {
  readonly line: number;
  readonly request: string;
  readonly response: string;
}

/** The page's fenced blocks of kind `http`: a request, then its answer. */
function examplesOf(page: string): Example[] {
  const blocks = [...page.matchAll(/^```http\n([\s\S]*?)\n```$/gm)].map((match) => ({
    line: page.slice(0, match.index).split("\n").length,
    text: match[1] as string,
  }));
  const examples: Example[] = [];
  for (let i = 0; i < blocks.length; i += 2) {
    const [request, response] = [blocks[i], blocks[i + 1]];
    assert.ok(
      request !== undefined && response !== undefined && response.text.startsWith("HTTP/1.1 "),
      `a request without an answer at line ${String(request?.line)}`,
    );
    examples.push({ line: request.line, request: request.text, response: response.text });
  }
  return examples;
}

function split(text: string): { readonly first: string; readonly headers: readonly (readonly [string, string])[]; readonly body: string } {
  const gap = text.indexOf("\n\n");
  const [first = "", ...lines] = (gap < 0 ? text : text.slice(0, gap)).split("\n");
  const headers = lines.map((line) => line.split(": ", 2) as [string, string]);
  return { first, headers, body: gap < 0 ? "" : text.slice(gap + 2) };
}

/** Equal, where an ellipsis in `expected` stands for any text. */
function matches(actual: string, expected: string): boolean {
  const pattern = expected.split("\u2026").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${pattern.join("[\\s\\S]*?")}$`).test(actual);
}

test("every example of docs/http-api.md is true", async () => {
  const examples = examplesOf(readFileSync(new URL("../../docs/http-api.md", import.meta.url), "utf8"));
  assert.ok(examples.length > 25, `${String(examples.length)} examples`);
  await using node = await TestNode.start();
  for (const { line, request, response } of examples) {
    const { first, headers, body } = split(request);
    const [method = "", path = ""] = first.split(" ");
    const expected = split(response);
    const reply = await node.call(path, { method, headers: Object.fromEntries(headers), body: body === "" ? undefined : body });
    const where = `line ${String(line)}: ${first}`;
    assert.equal(String(reply.status), expected.first.split(" ")[1], `${where}\n${reply.text}`);
    for (const [name, value] of expected.headers) {
      assert.ok(
        matches(String(reply.headers[name.toLowerCase()]), value),
        `${where}: ${name}: ${String(reply.headers[name.toLowerCase()])}`,
      );
    }
    assert.ok(matches(reply.text.trimEnd(), expected.body), `${where}\nexpected: ${expected.body}\nactual:   ${reply.text}`);
  }
});
