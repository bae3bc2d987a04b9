/** `pumice lsm` on real directories. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { utf8 } from "../../src/base/mod.ts";
import { runLsm } from "../../src/cli/lsm/command.ts";
import { ESCAPED, HEX } from "../../src/cli/lsm/text-form.ts";
import { openLsmTarget } from "../../src/entry/mod.ts";
import { Db } from "../../src/lsm/mod.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly problem: string;
}

async function lsm(...args: string[]): Promise<Ran> {
  let out = "";
  let problem = "";
  const output = { out: (text: string) => void (out += text), problem: (text: string) => void (problem += `${text}\n`) };
  const code = await runLsm(args, output, {});
  return { code, out, problem };
}

/** Runs a command that must succeed, and gives what it printed. */
async function ok(...args: string[]): Promise<string> {
  const ran = await lsm(...args);
  assert.equal(ran.code, 0, `${args.join(" ")}: ${ran.problem}${ran.out}`);
  assert.equal(ran.problem, "");
  return ran.out;
}

test(`keys and values survive their text form (seed ${SEED})`, () => {
  for (const form of [ESCAPED, HEX]) {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.string({ unit: "binary" }).map(utf8)), (bytes) => {
        const text = form.write(bytes);
        assert.ok(/^[^\p{Cc}]*$/u.test(text), "it fits on a line of a terminal");
        assert.deepEqual(form.read(text), new Uint8Array(bytes));
      }),
      { seed: SEED },
    );
  }
  assert.equal(ESCAPED.write(Uint8Array.of(0x61, 0x5c, 0xff, 0x0a)), "a\\\\\\xff\\n");
  for (const bad of ["\\", "a\\q", "\\x1", "\\xgg"]) assert.equal(ESCAPED.read(bad), undefined, bad);
  assert.equal(HEX.read("abc"), undefined);
});

describe("pumice lsm", () => {
  let top: string;
  let count = 0;
  before(async () => {
    top = await mkdtemp(join(tmpdir(), "pumice-lsm-"));
  });
  after(() => rm(top, { recursive: true, force: true }));
  const fresh = (): string => join(top, String(++count));

  /** A database with rows in two L0s and in the WAL. */
  async function filled(): Promise<string> {
    const folder = fresh();
    const { components } = openLsmTarget(folder, { env: {} });
    const db = await Db.open("", components, { compactor: false, gc: false });
    for (let i = 0; i < 50; i++) await db.put(utf8(`a${i}`), utf8("one"), { awaitDurable: false });
    await db.flush("memtable");
    for (let i = 0; i < 50; i++) await db.put(utf8(`b${i}`), utf8("two"), { awaitDurable: false });
    await db.flush("memtable");
    for (let i = 0; i < 3; i++) await db.put(utf8(`c${i}`), utf8("three"));
    await db.close({ flush: "wal" });
    return folder;
  }

  const files = (folder: string, under: string): string[] => fs.readdirSync(join(folder, under)).sort();

  test("put, get, delete and scan", async () => {
    const folder = fresh();
    assert.deepEqual(await lsm("put", folder, "k", "v"), {
      code: 1,
      out: "",
      problem: `put: LSM_NOT_FOUND: there is no database at ${folder}; --create makes one\n`,
    });
    assert.ok(!fs.existsSync(folder), "a mistyped address makes nothing");
    await ok("put", folder, "k", "v", "--create");
    await ok("put", folder, "bin\\x00\\xff", "a\\tb");
    await ok("put", folder, "6b32", "00ff", "--hex");
    const path = join(top, "value");
    fs.writeFileSync(path, "from a file\n");
    await ok("put", folder, "file", "--file", path);
    assert.equal(await ok("get", folder, "k"), "v\n");
    assert.equal(await ok("scan", folder), "bin\\x00\\xff\ta\\tb\nfile\tfrom a file\\n\nk\tv\nk2\t\\x00\\xff\n");
    assert.equal(await ok("scan", folder, "--hex", "--prefix", "6b"), "6b\t76\n6b32\t00ff\n");
    assert.equal(await ok("scan", folder, "--from", "file", "--to", "k2", "--reverse", "--keys-only"), "k\nfile\n");
    assert.equal(await ok("scan", folder, "--count"), "4\n");
    assert.equal(await ok("scan", folder, "--limit", "1", "--keys-only"), "bin\\x00\\xff\n");
    const [row] = (await ok("scan", folder, "--json", "--prefix", "file"))
      .split("\n")
      .map((line) => JSON.parse(line || "{}") as { key: string; seq: number });
    assert.equal(row?.key, "file");
    assert.ok((row?.seq ?? 0) > 0);
    await ok("delete", folder, "k");
    assert.deepEqual(await lsm("get", folder, "k"), { code: 1, out: "", problem: "no such key: k\n" });
    await ok("put", folder, "short", "lived", "--ttl", "1h");
    assert.equal(await ok("get", folder, "short"), "lived\n");
  });

  test("reading leaves nothing behind in the store", async () => {
    const folder = await filled();
    const before = fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
    await ok("get", folder, "a1");
    await ok("scan", folder, "--count");
    await ok("verify", folder);
    await lsm("repair", folder);
    await ok("manifest", folder);
    assert.deepEqual(fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).sort(), before);
  });

  test("manifests, compactions and SSTs are shown", async () => {
    const folder = await filled();
    const listed = (await ok("manifests", folder)).trim().split("\n");
    assert.equal(listed.length, files(folder, "manifest").length);
    const shown = JSON.parse(await ok("manifest", folder)) as { id: number; l0: { id: string }[] };
    assert.equal(shown.id, listed.length);
    assert.equal(shown.l0.length, 2);
    assert.equal((JSON.parse(await ok("manifest", folder, "1")) as { id: number }).id, 1);
    const described = JSON.parse(await ok("sst", folder, shown.l0[0]?.id ?? "")) as { isUsed: boolean; stats: { puts: number } };
    assert.ok(described.isUsed);
    assert.equal(described.stats.puts, 50);
    await ok("compact", folder);
    assert.ok((await ok("compactions", folder)).includes(".compactions"));
    assert.ok("compactorEpoch" in (JSON.parse(await ok("compaction", folder)) as object));
    assert.equal((JSON.parse(await ok("manifest", folder)) as { l0: unknown[] }).l0.length, 0);
    assert.equal(await ok("scan", folder, "--count"), "103\n");
    await ok("timeline", folder);
    assert.equal((await lsm("manifest", folder, "99")).code, 1);
    assert.equal((await lsm("manifests", fresh())).code, 1);
  });

  test("checkpoints are created, listed, refreshed, read at, and deleted", async () => {
    const folder = await filled();
    const made = JSON.parse(await ok("checkpoint", folder, "create", "--name", "before", "--lifetime", "1h")) as { id: string };
    await ok("delete", folder, "a1");
    assert.match(await ok("checkpoint", folder, "list"), new RegExp(`^${made.id}  manifest \\d+  .*kept until 2.*before\n$`));
    assert.equal(await ok("checkpoint", folder, "list", "--name", "other"), "");
    assert.equal(await ok("get", folder, "a1", "--checkpoint", made.id), "one\n");
    assert.equal((await lsm("get", folder, "a1")).code, 1);
    await ok("checkpoint", folder, "refresh", made.id);
    assert.match(await ok("checkpoint", folder, "list"), /kept until deleted/);
    await ok("checkpoint", folder, "delete", made.id);
    assert.equal(await ok("checkpoint", folder, "list"), "");
    assert.deepEqual(await lsm("checkpoint", folder, "delete", made.id), { code: 1, out: "", problem: `no such checkpoint: ${made.id}\n` });
    for (const wrong of [["delete"], ["create", made.id], ["frobnicate"]])
      assert.equal((await lsm("checkpoint", folder, ...wrong)).code, 1);
  });

  test("a clone shares files and goes its own way", async () => {
    const folder = fresh();
    await ok("put", folder, "k", "parent", "--create", "--root", "parent");
    await ok("clone", folder, "child", "--root", "parent");
    await ok("put", folder, "k", "child", "--root", "child");
    assert.equal(await ok("get", folder, "k", "--root", "parent"), "parent\n");
    assert.equal(await ok("get", folder, "k", "--root", "child"), "child\n");
  });

  test("garbage collection deletes what is old and not needed", async () => {
    const folder = await filled();
    await ok("compact", folder);
    await ok("put", folder, "z", "1");
    const before = files(folder, "manifest").length;
    await ok("gc", folder);
    assert.equal(files(folder, "manifest").length, before, "nothing is old enough");
    const report = JSON.parse(await ok("gc", folder, "--min-age", "0ms")) as { manifests: number };
    assert.ok(report.manifests > 0);
    assert.equal(await ok("scan", folder, "--count"), "104\n");
    assert.match(await ok("verify", folder), /^ok: /);
  });

  test("bench measures and leaves nothing behind", async () => {
    const folder = fresh();
    const out = await ok("bench", folder, "--rows", "40");
    assert.match(out, /durable puts, one at a time +\d+\/s/);
    assert.match(out, /rows scanned/);
    const left = fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    assert.deepEqual(left, []);
  });

  describe("verify finds and repair mends", () => {
    const flip = (path: string, at: number): void => {
      const bytes = fs.readFileSync(path);
      bytes[at] = (bytes[at] as number) ^ 1;
      fs.writeFileSync(path, bytes);
    };
    /** The plan is shown and nothing done; then it is applied; then the store opens, verifies, and takes writes. */
    async function mend(folder: string, expected: RegExp, rowsAfter: number): Promise<void> {
      const found = await lsm("verify", folder);
      assert.equal(found.code, 2, found.out);
      const before = fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
      const shown = await lsm("repair", folder);
      assert.equal(shown.code, 2);
      assert.match(shown.out, expected);
      assert.match(shown.out, /nothing was changed/);
      assert.deepEqual(fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).sort(), before);
      const wrong = await lsm("repair", folder, "--apply", "00000000");
      assert.equal(wrong.code, 2);
      assert.match(wrong.problem, /this is not plan 00000000/);
      assert.deepEqual(fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).sort(), before);
      const name = /add --apply ([0-9a-f]{8})\n/.exec(shown.out)?.[1] ?? "";
      assert.match(await ok("repair", folder, "--apply", name), /done; the database verifies/);
      assert.equal(await ok("scan", folder, "--count"), `${rowsAfter}\n`);
      await ok("put", folder, "new", "row");
      assert.equal(await ok("scan", folder, "--count"), `${rowsAfter + 1}\n`);
      assert.match(await ok("verify", folder), /^ok/);
      assert.equal(await ok("repair", folder), "nothing to repair\n");
    }

    test("a store in order has nothing to mend", async () => {
      const folder = await filled();
      assert.match(await ok("verify", folder), /^ok: 1 manifests, 2 SSTs, \d+ WAL objects, 103 rows\n$/);
      assert.equal(await ok("repair", folder), "nothing to repair\n");
    });

    test("an SST with a byte changed", async () => {
      const folder = await filled();
      flip(join(folder, "compacted", files(folder, "compacted")[0] as string), 20);
      await mend(folder, /go on without compacted\/.*its rows are lost/, 53);
    });

    test("an SST that is missing", async () => {
      const folder = await filled();
      fs.rmSync(join(folder, "compacted", files(folder, "compacted")[1] as string));
      await mend(folder, /go on without compacted\//, 53);
    });

    test("a WAL object that is damaged, with others after it", async () => {
      const folder = await filled();
      const wals = files(folder, "wal");
      flip(join(folder, "wal", wals[wals.length - 2] as string), 20);
      await mend(folder, /move wal\/.*[\s\S]*it follows/, 101);
      assert.equal(files(folder, "set-aside/wal").length, 2);
    });

    test("a WAL object that is missing", async () => {
      const folder = await filled();
      const wals = files(folder, "wal");
      fs.rmSync(join(folder, "wal", wals[wals.length - 3] as string));
      await mend(folder, /is missing/, 100);
    });

    test("a manifest in force that cannot be read", async () => {
      const folder = await filled();
      const last = files(folder, "manifest").at(-1) as string;
      fs.truncateSync(join(folder, "manifest", last), 30);
      await mend(folder, /move manifest\/.*to set-aside/, 103);
      assert.deepEqual(files(folder, "set-aside/manifest"), [last]);
    });

    test("a checkpoint whose manifest is gone", async () => {
      const folder = await filled();
      const made = JSON.parse(await ok("checkpoint", folder, "create")) as { id: string; manifestId: number };
      await ok("put", folder, "x", "1");
      fs.rmSync(join(folder, "manifest", `${String(made.manifestId).padStart(20, "0")}.manifest`));
      await mend(folder, new RegExp(`drop checkpoint ${made.id}`), 104);
    });

    test("no manifest that can be read is said to be beyond repair", async () => {
      const folder = await filled();
      for (const name of files(folder, "manifest")) fs.truncateSync(join(folder, "manifest", name), 3);
      const ran = await lsm("repair", folder, "--apply", "00000000");
      assert.equal(ran.code, 2);
      assert.match(ran.out, /no manifest can be read/);
      assert.equal((await lsm("get", folder, "a1")).code, 2, "damage is exit code 2 everywhere");
    });

    test("a plan that is not true any more is not carried out", async () => {
      const folder = await filled();
      fs.rmSync(join(folder, "compacted", files(folder, "compacted")[0] as string));
      const { components } = openLsmTarget(folder, { env: {} });
      const { Admin } = await import("../../src/lsm/mod.ts");
      const plan = await new Admin("", components).planRepair();
      await ok("checkpoint", folder, "create");
      await assert.rejects(new Admin("", components).repair(plan), /plan again/);
    });
  });

  test("a database that is not there is said to be so by every command, which makes none", async () => {
    const folder = fresh();
    const commands: readonly (readonly string[])[] = [
      ...["manifests", "manifest", "compactions", "compaction", "timeline", "scan", "compact", "gc", "verify", "repair", "destroy"].map(
        (name) => [name],
      ),
      ["sst", "01M7ZSYBZ8E7TXE8Z7ACA6C5FE"],
      ["get", "k"],
      ["put", "k", "v"],
      ["delete", "k"],
      ["checkpoint", "list"],
      ["checkpoint", "create"],
      ["clone", "child"],
      ["compact", "--serve"],
      ["gc", "--every", "1s"],
    ];
    for (const [name = "", ...rest] of commands) {
      const ran = await lsm(name, folder, ...rest);
      const hint = name === "put" ? "; --create makes one" : "";
      assert.deepEqual(ran, { code: 1, out: "", problem: `${name}: LSM_NOT_FOUND: there is no database at ${folder}${hint}\n` });
    }
    assert.ok(!fs.existsSync(folder));
  });

  test("commands that read leave a process that writes alone, and so do those that change no rows", async () => {
    const folder = await filled();
    const { components } = openLsmTarget(folder, { env: {} });
    const db = await Db.open("", components, { compactor: false, gc: false });
    const before = files(folder, "manifest");
    await ok("get", folder, "a1");
    await ok("scan", folder);
    await ok("manifests", folder);
    await ok("manifest", folder);
    await ok("compactions", folder);
    await ok("timeline", folder);
    await ok("verify", folder);
    await ok("repair", folder);
    await ok("checkpoint", folder, "list");
    await ok("sst", folder, db.manifest.l0[0]?.id ?? "");
    assert.equal((await lsm("destroy", folder)).code, 1);
    assert.deepEqual(files(folder, "manifest"), before, "nothing was written");
    await ok("checkpoint", folder, "create", "--name", "n");
    await ok("gc", folder);
    await ok("clone", folder, "beside");
    await db.put(utf8("still"), utf8("mine"));
    await db.flush("memtable");
    assert.equal(await ok("get", folder, "still"), "mine\n");
    await db.close();
  });

  test("lists are tables, or JSON; points of time are found by number and by time", async () => {
    const folder = await filled();
    await ok("checkpoint", folder, "create", "--name", "n");
    await ok("compact", folder);
    const json = async (...args: string[]): Promise<readonly Record<string, unknown>[]> => {
      return JSON.parse(await ok(...args, "--json")) as Record<string, unknown>[];
    };
    const manifests = await json("manifests", folder);
    assert.equal((await ok("manifests", folder)).trim().split("\n").length, manifests.length);
    assert.equal(manifests[0]?.["id"], 1);
    assert.ok((await json("compactions", folder)).length > 0);
    assert.equal((await json("checkpoint", folder, "list", "--name", "n"))[0]?.["name"], "n");
    const [point] = await json("timeline", folder);
    assert.deepEqual(await json("timeline", folder, "--seq", "5"), [point]);
    assert.deepEqual(await json("timeline", folder, "--time", "2020-01-01T00:00:00Z", "--up"), [point]);
    assert.deepEqual(await json("timeline", folder, "--time", String(point?.["timeS"])), [point]);
    assert.match((await lsm("timeline", folder, "--seq", "0")).problem, /no point/);
    const file = JSON.parse(await ok("compaction", folder)) as { compactions: { id: string }[] };
    const id = file.compactions[0]?.id ?? "";
    assert.equal((JSON.parse(await ok("compaction", folder, id)) as { id: string }).id, id);
    assert.equal(
      (
        await lsm(
          "compaction",
          folder,
          id.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
        )
      ).code,
      1,
    );
    assert.doesNotMatch(await ok("manifest", folder, "1"), /9223372036854776000/, "no tick yet is no number");
  });

  test("an empty value is a value", async () => {
    const folder = fresh();
    await ok("put", folder, "k", "", "--create");
    assert.equal(await ok("get", folder, "k"), "\n");
    assert.equal((await lsm("put", folder, "k", "", "--file", "x")).code, 1);
  });

  test("destroy shows, then does; checkpoints hold a database; a clone lets go of its parent", async () => {
    const folder = await filled();
    await ok("clone", folder, "copy");
    const held = await lsm("destroy", folder, "--confirm");
    assert.equal(held.code, 1);
    assert.match(held.problem, /checkpoints hold the store/);
    const shown = await lsm("destroy", folder, "--root", "copy");
    assert.equal(shown.code, 1);
    assert.match(shown.out, /2 L0 SSTs/);
    assert.match(await ok("destroy", folder, "--root", "copy", "--confirm"), /^\d+ objects deleted\n$/);
    assert.equal((await lsm("scan", folder, "--root", "copy")).code, 1);
    assert.equal(await ok("scan", folder, "--count"), "103\n");
    assert.doesNotMatch(await ok("checkpoint", folder, "list"), /until deleted/);
    await ok("destroy", folder, "--confirm", "--even-with-checkpoints");
    assert.equal((await lsm("scan", folder)).code, 1);
  });

  test("a service goes on until it is interrupted, and a reader that has seen enough ends a listing without a word", async () => {
    const program = fileURLToPath(new URL("../../src/cli/pumice.ts", import.meta.url));
    const folder = await filled();
    const start = (...args: string[]) => spawn(process.execPath, [program, "lsm", ...args], { stdio: ["ignore", "ignore", "inherit"] });
    const before = files(folder, "manifest").length;
    const compactor = start("compact", folder, "--serve");
    const compactorEnd = once(compactor, "exit");
    const deadline = performance.now() + 30_000;
    while (files(folder, "manifest").length === before) {
      assert.ok(performance.now() < deadline, "the compactor claims its epoch");
      await new Promise((resolve) => setImmediate(resolve));
    }
    compactor.kill("SIGINT");
    assert.deepEqual(await compactorEnd, [0, null]);
    // Its first run takes all manifests but the last and those of checkpoints.
    const collector = start("gc", folder, "--every", "1h", "--min-age", "0s");
    const collectorEnd = once(collector, "exit");
    while (fs.existsSync(join(folder, "manifest", "00000000000000000001.manifest"))) {
      assert.ok(performance.now() < deadline, "the collector collects");
      await new Promise((resolve) => setImmediate(resolve));
    }
    collector.kill("SIGTERM");
    assert.deepEqual(await collectorEnd, [0, null]);
    const { components } = openLsmTarget(folder, { env: {} });
    const db = await Db.open("", components, { compactor: false, gc: false });
    for (let i = 0; i < 30_000; i++) db.putSync(utf8(`many${i}`), utf8("a value of some length, so that no pipe takes all"));
    await db.close();
    const listing = spawn(process.execPath, [program, "lsm", "scan", folder], { stdio: ["ignore", "pipe", "pipe"] });
    let problem = "";
    listing.stderr.on("data", (chunk: Buffer) => (problem += chunk.toString()));
    listing.stdout.once("data", () => listing.stdout.destroy());
    const [code] = (await once(listing, "exit")) as [number | null];
    assert.deepEqual([code, problem], [141, ""]);
  });

  test("what is wrong with the arguments is said, with what to do", async () => {
    const folder = fresh();
    for (const [args, said] of [
      [["frob"], /unknown command "frob"; .*pumice lsm help/],
      [["verfy", folder], /did you mean verify\?/],
      [["get"], /STORE is missing/],
      [["get", folder], /KEY is missing/],
      [["get", folder, "a", "b"], /one argument too many: b/],
      [["get", folder, "a", "--frob"], /--frob/],
      [["get", folder, "zz", "--hex"], /not hexadecimal: zz/],
      [["get", folder, "a\\q"], /backslash must be doubled/],
      [["put", folder, "k"], /give either VALUE or --file/],
      [["put", folder, "k", "v", "--ttl", "soon"], /no duration such as/],
      [["scan", folder, "--limit", "-1"], /limit/],
      [["put", folder, "k", "--file", join(folder, "none")], /--file cannot be read: ENOENT/],
      [["scan", folder, "--frob"], /Unknown option '--frob'; "pumice/],
      [["timeline", folder, "--time", "yesterday"], /no time such as/],
      [["timeline", folder, "--time", "0", "--seq", "1"], /either --seq or --time/],
      [["gc", folder, "--every", "0s"], /more than nothing/],
      [["manifest", folder, "x"], /not an id: x/],
      [["put", folder, "k", "v"], /there is no database at .*; --create makes one/],
      [["get", "ftp://x", "k"], /ftp: is not known/],
      [["get", "s3://", "k"], /names no bucket/],
      [["get", "s3://bucket", "k", "--endpoint", "http://127.0.0.1:9"], /AWS_ACCESS_KEY_ID/],
    ] as const) {
      const ran = await lsm(...args);
      assert.equal(ran.code, 1, args.join(" "));
      assert.match(ran.problem, said, args.join(" "));
      assert.equal(ran.out, "");
    }
    assert.match(await ok("help"), /checkpoint create\|list\|refresh\|delete \[UUID\]/);
    assert.match(await ok("scan", "--help"), /--prefix KEY +only keys that begin with this/);
    assert.equal(await ok("help", "scan"), await ok("scan", "--help"));
  });

  test("the help in docs/object-stores.md is the help", async () => {
    const page = fs.readFileSync(new URL("../../docs/object-stores.md", import.meta.url), "utf8");
    assert.ok(page.includes(`\`\`\`\n${await ok("help")}\`\`\``), "copy the output of `pumice lsm help` into the page");
  });

  test("the program itself dispatches it, prints on stdout and sets the exit code", () => {
    const program = fileURLToPath(new URL("../../src/cli/pumice.ts", import.meta.url));
    const run = (...args: string[]) => spawnSync(process.execPath, [program, "lsm", ...args], { encoding: "utf8" });
    const folder = fresh();
    assert.equal(run("put", folder, "k", "v", "--create").status, 0);
    const got = run("get", folder, "k", "--raw");
    assert.deepEqual([got.status, got.stdout, got.stderr], [0, "v", ""]);
    const missing = run("get", folder, "nope");
    assert.deepEqual([missing.status, missing.stdout, missing.stderr], [1, "", "pumice lsm: no such key: nope\n"]);
  });
});
