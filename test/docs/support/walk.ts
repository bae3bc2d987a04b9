/**
 * Runs the shell blocks of a page as a reader would, against a node of its own, and compares what they print with the block of text that
 * follows. In a page, comments say what a reader does besides pasting:
 *
 *     <!-- walk: restart -->      the node is killed with SIGKILL and started again
 *     <!-- walk: skip WHY -->     the next block is not run
 *
 * Numbers of seconds, dates and versions differ from run to run and are compared by their shape only.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, startPumiced } from "../../support/pumiced.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** One thing that the reader of a page does. */
type Step =
  | { readonly kind: "run"; readonly line: number; readonly commands: string; readonly expected: string | undefined }
  | { readonly kind: "restart"; readonly line: number };

/** Takes a page's steps from its text. */
function stepsOf(text: string): Step[] {
  const steps: Step[] = [];
  const lines = text.split("\n");
  let skip = false;
  for (let at = 0; at < lines.length; at++) {
    const directive = /^<!-- walk: (restart|skip .+) -->$/.exec(lines[at] as string)?.[1];
    if (directive === "restart") steps.push({ kind: "restart", line: at + 1 });
    else if (directive !== undefined) skip = true;
    const fence = /^```(\w*)$/.exec(lines[at] as string);
    if (fence === null) continue;
    const end = lines.indexOf("```", at + 1);
    const block = lines.slice(at + 1, end).join("\n");
    const last = steps.at(-1);
    if (fence[1] === "sh" && !skip) steps.push({ kind: "run", line: at + 1, commands: block, expected: undefined });
    else if (fence[1] === "text" && !skip && last?.kind === "run") steps[steps.length - 1] = { ...last, expected: block };
    if (fence[1] === "sh") skip = lines.slice(end, end + 3).includes("```text") && skip;
    else skip = false;
    at = end;
  }
  return steps;
}

/** Walks through `page` (a path from the root). Returns how many blocks were run. `flags` are the node's. */
export async function walk(page: string, flags: readonly string[] = []): Promise<number> {
  const steps = stepsOf(readFileSync(join(ROOT, page), "utf8"));
  const folder = mkdtempSync(join(tmpdir(), "pumice-walk-"));
  for (const name of ["bin", "dist", "node_modules", "package.json"]) symlinkSync(join(ROOT, name), join(folder, name));
  mkdirSync(join(folder, "data"));
  const options = { dataDirectory: join(folder, "data"), port: await freePort(), flags };
  let node = await startPumiced(options);
  let count = 0;
  try {
    for (const step of steps) {
      if (step.kind === "restart") {
        await node.end("SIGKILL");
        node = await startPumiced(options);
        continue;
      }
      count += 1;
      const commands = step.commands.replaceAll("localhost:4001", `127.0.0.1:${options.port}`);
      const environment = {
        ...process.env,
        PUMICE_URL: `http://127.0.0.1:${options.port}`,
        PATH: `${ROOT}node_modules/.bin:${process.env["PATH"]}`,
      };
      const result = spawnSync("sh", ["-eu", "-c", commands], { cwd: folder, encoding: "utf8", env: environment });
      const printed = result.stdout.replaceAll(`127.0.0.1:${options.port}`, "localhost:4001");
      assert.equal(result.status, 0, `${page}:${step.line}: ${step.commands}\n${printed}${result.stderr}`);
      if (step.expected !== undefined) assert.equal(shapeOf(printed), shapeOf(step.expected), `${page}:${step.line}: ${step.commands}`);
    }
  } finally {
    await node.end("SIGTERM");
    rmSync(folder, { recursive: true });
  }
  return count;
}

function shapeOf(text: string): string {
  return text
    .trim()
    .replaceAll(/\b\d+ (?:min \d+ )?s\b/g, "N s")
    .replaceAll(/\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?Z?/g, "TIME")
    .replaceAll(/"time":[\d.e-]+/g, '"time":N')
    .replaceAll(/\bv?\d+\.\d+\.\d+\b/g, "VERSION");
}
