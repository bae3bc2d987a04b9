/** A real pumiced on a file system of its own that fills up and is emptied again. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, fstatSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../server/support/http.ts";
import { exchange, freePort, startPumiced } from "../support/pumiced.ts";

const ROW_CHARS = 20_000;

/** Takes all the room but `spareBytes`. */
function fill(path: string, spareBytes: number): void {
  const file = openSync(path, "w");
  try {
    // Larger pieces first: the file system says when it is full.
    for (let bytes = 65_536; bytes >= 1; bytes >>= 1) while (grow(file, bytes));
    ftruncateSync(file, Math.max(fstatSync(file).size - spareBytes, 0));
  } finally {
    closeSync(file);
  }
}

function grow(file: number, bytes: number): boolean {
  try {
    return writeSync(file, new Uint8Array(bytes)) === bytes;
  } catch {
    return false;
  }
}

// The WAL takes the first 128 KiB of what is left; to move them the main file needs as much again.
for (const [where, walLimit, spareBytes] of [
  ["database", "1GiB", 0],
  ["checkpoint", "128KiB", 200 * 1024],
] as const) {
  test(`a disk that is full for a ${where} refuses writes and says so, reads go on, and with room again all goes on by itself`, async (context) => {
    if (spawnSync("unshare", ["-rm", "true"]).status !== 0) {
      context.skip("no file system of our own here: unshare -rm does not work");
      return;
    }
    const folder = mkdtempSync(join(tmpdir(), "pumice-disk-"));
    context.after(() => rmSync(folder, { recursive: true, force: true }));
    const port = await freePort();
    const flags = ["-raft-log-segment-size", "256KiB", "-raft-snap-wal-size", walLimit, "-raft-apply-timeout", "1s"];
    const node = await startPumiced({ dataDirectory: join(folder, "data"), port, diskMiB: 24, flags });
    context.after(() => (node.hasExited ? undefined : node.end("SIGKILL")));
    // The file system is the process's own: it is reached by way of it.
    const ballast = `/proc/${node.pid}/root${join(folder, "ballast")}`;
    const write = async (n: number): Promise<string> =>
      (await exchange(port, "/db/execute", JSON.stringify([["INSERT INTO t VALUES (?, ?)", n, "x".repeat(ROW_CHARS)]]))).body;
    const disk = async (): Promise<{ full: boolean; in?: string[] }> =>
      JSON.parse((await exchange(port, "/status?key=store.disk")).body) as { full: boolean };
    await exchange(port, "/db/execute", '["CREATE TABLE t (n INTEGER, filler TEXT)"]');
    const acknowledged = new Set<number>();
    const unsure = new Set<number>();
    let n = 0;
    const writeUntil = async (pattern: RegExp): Promise<void> => {
      await eventually(
        async () => {
          const body = await write(++n);
          if (body.includes("rows_affected")) acknowledged.add(n);
          else if (body.includes("may still be applied")) unsure.add(n);
          else assert.match(body, /the disk is full/);
          return pattern.test(body);
        },
        `an answer like ${pattern.source}`,
        30_000,
      );
    };
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 5; i++) await writeUntil(/rows_affected/);
      fill(ballast, spareBytes);
      await writeUntil(/"error":"the disk is full: writes are refused until there is room, reads go on in=/);
      await eventually(async () => (await disk()).full, "the status page says it");
      const rows = (await exchange(port, "/db/query?level=none", '["SELECT count(*) FROM t", "SELECT length(filler) FROM t LIMIT 1"]'))
        .body;
      assert.match(rows, new RegExp(`"values":\\[\\[\\d+\\]\\].*"values":\\[\\[${ROW_CHARS}\\]\\]`));
      assert.equal((await exchange(port, "/readyz")).status, 200);
      rmSync(ballast);
      await writeUntil(/rows_affected/);
      await eventually(async () => !(await disk()).full, "the status page says that it is over");
    }
    assert.match(node.output, new RegExp(`WARN the disk is full \\([a-z, ]*${where}`));
    assert.match(node.output, /WARN there is room on the disk again, after [\d.]+ s: writes go on/);
    const found = JSON.parse(
      (await exchange(port, "/db/query?level=strong", '["SELECT n FROM t ORDER BY n", "PRAGMA integrity_check"]')).body,
    ) as {
      results: { values: unknown[][] }[];
    };
    const numbers = (found.results[0]?.values ?? []).map(([each]) => Number(each));
    assert.equal(new Set(numbers).size, numbers.length, "none twice");
    assert.deepEqual(
      [...acknowledged].filter((each) => !numbers.includes(each)),
      [],
      "all that was acknowledged",
    );
    assert.deepEqual(
      numbers.filter((each) => !acknowledged.has(each) && !unsure.has(each)),
      [],
      "nothing that was refused",
    );
    assert.deepEqual(found.results[1]?.values, [["ok"]]);
    assert.equal(await node.end("SIGTERM"), 0);
  });
}
