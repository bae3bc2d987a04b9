/** The examples of docs/http-api.md. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

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

test("every request of docs/http-api.md has its answer", () => {
  const examples = examplesOf(readFileSync(new URL("../../docs/http-api.md", import.meta.url), "utf8"));
  assert.ok(examples.length > 25, `${String(examples.length)} examples`);
});
