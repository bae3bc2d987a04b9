/** The cases. A dangerous one may hang or crash the process it runs in. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isPumiceError } from "../../../src/base/mod.ts";
import { COMPRESSIONS, WriteBatch, type LsmOptions } from "../../../src/lsm/mod.ts";
import {
  bytes,
  COMPACTING,
  lastFile,
  must,
  openOurs,
  openTheirs,
  patchFile,
  slate,
  text,
  theirRows,
  theyMustSee,
  waitUntil,
  weMustSee,
  ourRows,
  type TheirOptions,
} from "./oracle.ts";
import { commandLineCases } from "./command-line.ts";
import { craftedCases } from "./crafted-cases.ts";
import { dangerousCases } from "./dangerous.ts";
import { handOverCases } from "./hand-overs.ts";
import { killCases } from "./kills.ts";
import { reencodeCases } from "./reencode-cases.ts";
import { sameWorkCases } from "./same-work.ts";
import { reencodeAll } from "./reencode.ts";
import { Workload } from "./workload.ts";

/** One thing that must hold. `run` gets an empty directory. */
export interface InteropCase {
  readonly name: string;
  /** True if it may hang or crash the process it runs in. */
  readonly isDangerous?: boolean;
  /** True if it is part of the gate. */
  readonly isQuick?: boolean;
  run(root: string): Promise<void>;
}

const BLOCKS = { Block1Kib: 1024, Block4Kib: 4096, Block16Kib: 16_384, Block64Kib: 65_536 } as const;

/** Work by one engine in memtable, L0 and runs; then the other reads, and writes on. */
async function handOver(
  root: string,
  how: { compression: (typeof COMPRESSIONS)[number]; block: keyof typeof BLOCKS; first: "ours" | "theirs" },
): Promise<void> {
  const work = new Workload(7, 300);
  const our: LsmOptions = { compression: how.compression, blockSizeBytes: BLOCKS[how.block], minFilterKeys: 100 };
  const codec = how.compression === "none" ? null : `${how.compression[0]?.toUpperCase()}${how.compression.slice(1)}`;
  const their: TheirOptions = { settings: { compression_codec: codec, min_filter_keys: 100 }, blockSize: how.block };
  const ourTurn = async (): Promise<void> => {
    const db = await openOurs(root, our);
    await weMustSee(db, work.model);
    await work.byUs(db, 40);
    await db.flush("memtable");
    await work.byUs(db, 40);
    await db.flush("memtable");
    await work.byUs(db, 10);
    await weMustSee(db, work.model);
    await db.close({ flush: "wal" });
  };
  const theirTurn = async (): Promise<void> => {
    const db = await openTheirs(root, their);
    await theyMustSee(db, work.model);
    await work.byThem(db, 40);
    await db.flush_with_options({ flush_type: slate.FlushType.MemTable });
    await work.byThem(db, 40);
    await db.flush_with_options({ flush_type: slate.FlushType.MemTable });
    await work.byThem(db, 10);
    await theyMustSee(db, work.model);
    await db.shutdown();
    reencodeAll(root, { blockSizeBytes: BLOCKS[how.block], minFilterKeys: 100 });
  };
  for (const turn of how.first === "ours" ? [ourTurn, theirTurn, ourTurn] : [theirTurn, ourTurn, theirTurn]) await turn();
}

const handOvers: InteropCase[] = COMPRESSIONS.flatMap((compression) =>
  (compression === "none" ? (["Block1Kib", "Block4Kib", "Block16Kib", "Block64Kib"] as const) : (["Block4Kib"] as const)).flatMap((block) =>
    (["ours", "theirs"] as const).map((first) => ({
      name: `${first} first, ${compression}, ${block}: each reads and writes on`,
      isQuick: compression === "lz4" && first === "ours",
      run: async (root: string) => await handOver(root, { compression, block, first }),
    })),
  ),
);

const ownership: InteropCase[] = [
  {
    name: "ownership goes back and forth 30 times, either compacting at random",
    run: async (root) => {
      const work = new Workload(42, 400);
      for (let round = 0; round < 30; round++) {
        if (work.below(2) === 0) {
          const db = await openOurs(root, { l0SstBytes: 20_000, l0SstsMax: 10_000 });
          await work.byUs(db, 10 + work.below(40));
          if (work.below(3) === 0) await db.compact();
          if (work.below(3) === 0) await weMustSee(db, work.model);
          await db.close({ flush: work.below(2) === 0 ? "wal" : "memtable" });
        } else {
          const db = await openTheirs(root, { settings: { l0_max_ssts: 10_000 } });
          await work.byThem(db, 10 + work.below(40));
          if (work.below(2) === 0) await db.flush_with_options({ flush_type: slate.FlushType.MemTable });
          if (work.below(3) === 0) await theyMustSee(db, work.model);
          await db.shutdown();
        }
      }
      const ours = await openOurs(root);
      await weMustSee(ours, work.model);
      await ours.close();
      const theirs = await openTheirs(root);
      await theyMustSee(theirs, work.model);
      await theirs.shutdown();
    },
  },
  {
    name: "SlateDB compacts our L0s",
    run: async (root) => {
      const work = new Workload(3, 900);
      const ours = await openOurs(root);
      for (let i = 0; i < 5; i++) {
        await work.byUs(ours, 60);
        await ours.flush("memtable");
      }
      await ours.close();
      const theirs = await openTheirs(root, { settings: { compactor_options: COMPACTING } });
      await waitUntil("SlateDB compacts", async () => {
        const probe = await openedManifest(root);
        return probe.l0 === 0 && probe.runs === 1;
      });
      await theyMustSee(theirs, work.model);
      await theirs.shutdown();
      const again = await openOurs(root);
      await weMustSee(again, work.model);
      await again.close();
    },
  },
  {
    name: "we compact SlateDB's L0s and runs",
    isQuick: true,
    run: async (root) => {
      const work = new Workload(4, 900);
      const theirs = await openTheirs(root);
      for (let i = 0; i < 5; i++) {
        await work.byThem(theirs, 60);
        await theirs.flush_with_options({ flush_type: slate.FlushType.MemTable });
      }
      await theirs.shutdown();
      const ours = await openOurs(root);
      await ours.compact();
      must(ours.manifest.l0.length === 0 && ours.manifest.runs.length === 1, "one run is left");
      await weMustSee(ours, work.model);
      await ours.close();
      const again = await openTheirs(root);
      await theyMustSee(again, work.model);
      await again.shutdown();
    },
  },
  {
    name: "we fence a running SlateDB",
    run: async (root) => {
      const theirs = await openTheirs(root);
      await theirs.put(bytes("a"), bytes("1"));
      const ours = await openOurs(root);
      const error = await theirs.put(bytes("b"), bytes("2")).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      must(error instanceof slate.ErrorClosed && error.reason === "Fenced", `SlateDB's put fails as fenced, but: ${String(error)}`);
      must(text(await ours.get(bytes("a"))) === "1" && (await ours.get(bytes("b"))) === undefined, "we see what was acknowledged");
      await ours.close();
    },
  },
  {
    name: "SlateDB fences us",
    run: async (root) => {
      const ours = await openOurs(root);
      await ours.put(bytes("a"), bytes("1"));
      const theirs = await openTheirs(root);
      const error = await ours.put(bytes("b"), bytes("2")).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      must(isPumiceError(error, "LSM_FENCED"), `our put fails as fenced, but: ${String(error)}`);
      must(text(await theirs.get(bytes("a"))) === "1", "SlateDB sees what was acknowledged");
      await theirs.shutdown();
      await ours.close();
    },
  },
];

async function openedManifest(root: string): Promise<{ l0: number; runs: number }> {
  const { decodeManifest } = await import("../../../src/lsm/format/manifest.ts");
  const { readFileSync } = await import("node:fs");
  const path = lastFile(root, "manifest");
  const manifest = decodeManifest(new Uint8Array(readFileSync(path)), path);
  return { l0: manifest.l0.length, runs: manifest.runs.length };
}

const details: InteropCase[] = [
  {
    name: "SlateDB's filters: 999 rows give none, 1000 rows give 1256 bytes, and ours are the same",
    run: async (root) => {
      for (const rows of [999, 1000]) {
        const sub = join(root, String(rows));
        const theirs = await openTheirs(sub);
        const batch = new slate.WriteBatch();
        for (let i = 0; i < rows; i++) batch.put(bytes(`k${i}`), bytes("v"));
        await theirs.write(batch);
        await theirs.flush_with_options({ flush_type: slate.FlushType.MemTable });
        await theirs.shutdown();
        reencodeAll(sub, { blockSizeBytes: 4096, minFilterKeys: 1000 });
        const ours = await openOurs(sub);
        must(ours.manifest.l0[0]?.info.filterLength === (rows === 999 ? 0 : 1256), "the filter's length");
        for (let i = 0; i < rows; i++) must((await ours.get(bytes(`k${i}`))) !== undefined, "every key is there");
        await ours.close();
      }
    },
  },
  {
    name: "a row with a TTL: seen by SlateDB until its flush, a tombstone in L0 after it",
    run: async (root) => {
      const ours = await openOurs(root);
      await ours.put(bytes("gone"), bytes("1"), { ttl: { afterMs: 1 } });
      await ours.put(bytes("stays"), bytes("2"), { ttl: { afterMs: 1_000_000 } });
      await new Promise((resolve) => setTimeout(resolve, 20));
      await ours.close({ flush: "wal" });
      const theirs = await openTheirs(root);
      must(text(await theirs.get(bytes("gone"))) === "1", "seen before the flush");
      await theirs.put(bytes("later"), bytes("3"));
      await theirs.flush_with_options({ flush_type: slate.FlushType.MemTable });
      must((await theirs.get(bytes("gone"))) === undefined, "gone after the flush");
      const row = await theirs.get_key_value(bytes("stays"));
      must(row?.expire_ts !== undefined && Number(row.expire_ts) - Number(row.create_ts) === 1_000_000, "the expiry is kept");
      await theirs.shutdown();
    },
  },
  {
    name: "sequence numbers and times go on from one engine to the other",
    run: async (root) => {
      const theirs = await openTheirs(root);
      const first = await theirs.put(bytes("a"), bytes("1"));
      await theirs.shutdown();
      const ours = await openOurs(root);
      const second = await ours.put(bytes("b"), bytes("2"));
      await ours.close();
      const again = await openTheirs(root);
      const third = await again.put(bytes("c"), bytes("3"));
      must(second.seq > Number(first.seqnum) && Number(third.seqnum) > second.seq, "sequence numbers ascend");
      must(second.createTs >= Number(first.create_ts) && Number(third.create_ts) >= second.createTs, "times do not go back");
      const row = await again.get_key_value(bytes("b"));
      must(Number(row?.create_ts) === second.createTs && Number(row?.seq) === second.seq, "SlateDB sees our stamp");
      await again.shutdown();
    },
  },
  {
    name: "a tick 60 s ahead of the wall clock: SlateDB fails its put, we go on at once",
    run: async (root) => {
      const { ourComponents } = await import("./oracle.ts");
      const { Db } = await import("../../../src/lsm/mod.ts");
      const components = ourComponents(root);
      const ahead = {
        ...components.clock,
        now: () => Date.now() + 60_000,
        monotonic: () => performance.now(),
        sleep: components.clock.sleep.bind(components.clock),
      };
      const fast = await Db.open("db", { ...components, clock: ahead }, { compactor: false, gc: false });
      const handle = await fast.put(bytes("a"), bytes("1"));
      await fast.close();
      const ours = await openOurs(root);
      const started = performance.now();
      const next = await ours.put(bytes("b"), bytes("2"));
      must(performance.now() - started < 1000, "our put does not wait");
      must(next.createTs === handle.createTs && ours.status().clock.reusedTicks === 1, "our put reuses the last tick, and counts that");
      await ours.close();
    },
  },
  {
    name: "garbage in the folders and orphaned SSTs are ignored by both",
    run: async (root) => {
      const ours = await openOurs(root);
      await ours.put(bytes("a"), bytes("1"));
      await ours.close();
      writeFileSync(join(root, "db/wal/garbage.txt"), "x");
      writeFileSync(join(root, "db/manifest/README"), "x");
      writeFileSync(join(root, "db/compacted/01ARZ3NDEKTSV4RRFFQ69G5FAV.sst"), "orphan");
      const theirs = await openTheirs(root);
      must(text(await theirs.get(bytes("a"))) === "1", "SlateDB reads");
      await theirs.shutdown();
      const again = await openOurs(root);
      must(text(await again.get(bytes("a"))) === "1", "we read");
      await again.close();
    },
  },
  {
    name: "holes in the manifest's ids are no harm to either",
    run: async (root) => {
      const ours = await openOurs(root);
      await ours.put(bytes("a"), bytes("1"));
      await ours.close();
      const names = readdirSync(join(root, "db/manifest"));
      for (const name of names.slice(1, -1)) rmSync(join(root, "db/manifest", name));
      const theirs = await openTheirs(root);
      must(text(await theirs.get(bytes("a"))) === "1", "SlateDB reads");
      await theirs.shutdown();
      const again = await openOurs(root);
      must(text(await again.get(bytes("a"))) === "1", "we read");
      await again.close();
    },
  },
  {
    name: "SlateDB's DbReader and WalReader read our store",
    isQuick: true,
    run: async (root) => {
      const ours = await openOurs(root);
      const work = new Workload(9, 100);
      await work.byUs(ours, 20);
      await ours.flush("memtable");
      await ours.write(new WriteBatch().put(bytes("w1"), bytes("1")).delete(bytes("w0")));
      work.model.set(Buffer.from("w1").toString("hex"), Buffer.from("1").toString("hex"));
      const store = slate.ObjectStore.resolve(`file://${root}`);
      const builder = new slate.DbReaderBuilder("db", store);
      builder.with_merge_operator({ merge: (_key, existing, operand) => Uint8Array.from([...(existing ?? []), ...operand]) });
      const reader = await builder.build();
      const rows = await theirRows(reader);
      must(rows.size === work.model.size, `the reader sees ${rows.size} of ${work.model.size} rows`);
      const files = await new slate.WalReader("db", store).list(undefined, undefined);
      const kinds: string[] = [];
      for (const file of files) {
        const iterator = await file.iterator();
        for (let row = await iterator.next(); row !== undefined; row = await iterator.next()) kinds.push(`${text(row.key)} ${row.kind}`);
      }
      must(kinds.at(-2) === "w0 Tombstone" && kinds.at(-1) === "w1 Value", `the WAL's last rows: ${kinds.slice(-2).join(", ")}`);
      await reader.shutdown();
      await ours.close();
    },
  },
  {
    name: "checkpoints of SlateDB's reader survive our writes, and ours survive SlateDB's",
    run: async (root) => {
      const ours = await openOurs(root);
      await ours.put(bytes("a"), bytes("1"));
      const checkpoint = await ours.createCheckpoint({ name: "kept", lifetimeMs: 3_600_000 });
      await ours.put(bytes("a"), bytes("2"));
      await ours.close();
      const builder = new slate.DbReaderBuilder("db", slate.ObjectStore.resolve(`file://${root}`));
      builder.with_checkpoint_id(checkpoint.id);
      const reader = await builder.build();
      must(text(await reader.get(bytes("a"))) === "1", "SlateDB reads our checkpoint");
      await reader.shutdown();
      const theirs = await openTheirs(root);
      await theirs.put(bytes("a"), bytes("3"));
      await theirs.flush_with_options({ flush_type: slate.FlushType.MemTable });
      await theirs.shutdown();
      const again = await openOurs(root);
      must((await again.listCheckpoints("kept"))[0]?.id === checkpoint.id, "our checkpoint is still there");
      await again.close();
    },
  },
  {
    name: "SlateDB with a WAL store of its own",
    run: async (root) => {
      mkdirSync(join(root, "wals"));
      const builder = new slate.DbBuilder("db", slate.ObjectStore.resolve(`file://${root}`));
      builder.with_wal_object_store(slate.ObjectStore.resolve(`file://${join(root, "wals")}`));
      const theirs = await builder.build();
      await theirs.put(bytes("a"), bytes("1"));
      await theirs.shutdown();
      const error = await openOurs(root).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      must(isPumiceError(error, "LSM_INVALID"), "without the WAL's store we refuse");
      must(existsSync(join(root, "wals/db/wal")), "the WAL is there");
    },
  },
  {
    name: "a checksum that is wrong is refused by both",
    isQuick: true,
    run: async (root) => {
      const ours = await openOurs(root);
      await ours.put(bytes("a"), bytes("1"));
      await ours.flush("memtable");
      await ours.close();
      patchFile(lastFile(root, "compacted"), (file) => file.with(5, (file[5] as number) ^ 1));
      const again = await openOurs(root);
      const error = await again.get(bytes("a")).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      must(isPumiceError(error, "LSM_CORRUPT") && error.message.includes("compacted/"), `we name the object: ${String(error)}`);
      await again.close();
      const theirs = await openTheirs(root);
      const other = await theirs.get(bytes("a")).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      must(other instanceof slate.ErrorData, `SlateDB refuses: ${String(other)}`);
      await theirs.shutdown();
    },
  },
  {
    name: "every file that SlateDB wrote in a long life is made again to the byte",
    run: async (root) => {
      const work = new Workload(5, 3000);
      const theirs = await openTheirs(root, { settings: { compactor_options: COMPACTING } });
      for (let i = 0; i < 8; i++) {
        await work.byThem(theirs, 100);
        await theirs.flush_with_options({ flush_type: slate.FlushType.MemTable });
      }
      await waitUntil("SlateDB compacts", async () => (await openedManifest(root)).runs > 0);
      await theirs.shutdown();
      const files = reencodeAll(root, { blockSizeBytes: 4096, minFilterKeys: 1000 });
      must(files > 30, `${files} files`);
      const ours = await openOurs(root);
      await weMustSee(ours, work.model);
      must((await ourRows(ours)).size === work.model.size, "all rows");
      await ours.close();
    },
  },
];

/** All cases, in the order in which they run. */
export const interopCases: readonly InteropCase[] = [
  ...details,
  ...reencodeCases,
  ...ownership,
  ...handOvers,
  ...handOverCases,
  ...sameWorkCases,
  ...commandLineCases,
  ...craftedCases,
  ...killCases,
  ...dangerousCases,
];
