/** `pumice lsm` on a store that SlateDB wrote. */
import { runLsm } from "../../../src/cli/lsm/command.ts";
import type { InteropCase } from "./cases.ts";
import { bytes, COMPACTING, must, openTheirs, slate, text, theirRows } from "./oracle.ts";

/** Runs a command that must succeed; what it printed. */
async function pumice(...args: string[]): Promise<string> {
  let out = "";
  let problem = "";
  const code = await runLsm(args, { out: (more) => void (out += more), problem: (more) => void (problem += more) }, {});
  must(code === 0, `pumice lsm ${args.join(" ")} ends with ${code}: ${problem}${out}`);
  return out;
}

/** All cases of this file. */
export const commandLineCases: readonly InteropCase[] = [
  {
    name: "pumice lsm on a store of SlateDB: every command does its work, and SlateDB goes on with what it left",
    isQuick: true,
    run: async (root) => {
      const theirs = await openTheirs(root, {
        settings: { compactor_options: COMPACTING, compression_codec: "Zstd", min_filter_keys: 10 },
      });
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 50; i++) {
          await theirs.put_with_options(bytes(`k${i}`), bytes(`${round}`), { ttl: slate.Ttl.Default() }, { await_durable: i === 49 });
        }
        await theirs.flush_with_options({ flush_type: slate.FlushType.MemTable });
      }
      await theirs.put(bytes("in the wal"), bytes("x"));
      await theirs.shutdown();
      const store = `${root}/db`;
      const manifests = (await pumice("manifests", store)).trim().split("\n");
      must(manifests.length >= 5, `manifests: ${manifests.length}`);
      const manifest: unknown = JSON.parse(await pumice("manifest", store));
      must(typeof manifest === "object" && manifest !== null && "l0" in manifest && Array.isArray(manifest.l0), "manifest is JSON with l0");
      const ids = [...JSON.stringify(manifest).matchAll(/"id":"([0-9A-Z]{26})"/g)].map((match) => match[1] as string);
      must(ids.length > 0, "the manifest names SSTs");
      must((await pumice("compactions", store)).includes(".compactions"), "compactions are listed");
      must((await pumice("compaction", store)).includes("compactorEpoch"), "a compactions file is shown");
      must((await pumice("sst", store, ids[0] as string)).includes("zstd"), "an SST is described");
      must((await pumice("timeline", store)).length > 0, "the sequence tracker is read");
      must((await pumice("get", store, "k7")).trim() === "2", "get");
      must((await pumice("get", store, "in the wal")).trim() === "x", "get from the WAL");
      must((await pumice("scan", store)).trim().split("\n").length === 51, "scan");
      must((await pumice("verify", store)).length > 0, "verify");
      must((await pumice("repair", store)).includes("nothing to repair"), "repair has nothing to do");
      const uuid = /[0-9a-f-]{36}/.exec(await pumice("checkpoint", store, "create"))?.[0] ?? "";
      must((await pumice("checkpoint", store, "list")).includes(uuid), "the checkpoint is listed");
      await pumice("clone", root, "child", "--root", "db");
      must((await pumice("get", root, "k7", "--root", "child")).trim() === "2", "get from the clone");
      await pumice("put", store, "by pumice", "y");
      await pumice("delete", store, "k7");
      await pumice("compact", store);
      await pumice("checkpoint", store, "delete", uuid);
      await pumice("gc", store, "--min-age", "0ms");
      await pumice("verify", store);
      const again = await openTheirs(root);
      must((await theirRows(again)).size === 51, "SlateDB sees what was done");
      must(text(await again.get(bytes("by pumice"))) === "y" && (await again.get(bytes("k7"))) === undefined, "to the row");
      await again.shutdown();
      const child = await openTheirs(root, {}, "child");
      must((await theirRows(child)).size >= 50, "and opens the clone");
      await child.shutdown();
    },
  },
];
