/** The logs that the golden files hold: between them every frame type, several segments, and one that was recycled. */
import { utf8, type Crc32, type FileSystem } from "../../../../src/base/mod.ts";
import type { Entry } from "../../../../src/raft/mod.ts";
import { Log, type LogState } from "../../../../src/replica/mod.ts";
import { packed, type TestBatch } from "./batch.ts";

/** FROZEN: what the files were written with. Those of version 1 have no identity. */
export const GOLDEN_IDENTITY = { clusterId: "00112233445566778899aabbccddeeff", nodeId: 7 };
const SETTINGS = { segmentBytes: 1024, sliceBytes: 512, begin: { identity: GOLDEN_IDENTITY } };

/** A golden log: how it is written, by the public calls of the log alone, and what is read from it. */
export interface GoldenLog {
  readonly name: string;
  readonly write: (log: Log, append: (batch: Omit<TestBatch, "number">) => void) => void;
  readonly state: LogState;
  readonly entries: readonly Entry[];
}

function entry(index: number, term: number, text: string): Entry {
  return { index, term, type: "normal", data: utf8(text) };
}

/** An entry of nine letters for each index. */
function long(index: number): Entry {
  return entry(index, 2, "x".repeat(index * 9));
}

const AFTER_SNAPSHOT: readonly Entry[] = [
  entry(22, 4, "after the snapshot"),
  { index: 23, term: 4, type: "config", data: Uint8Array.of(1, 0, 0, 0) },
  entry(24, 4, ""),
];

export const GOLDEN_LOGS: readonly GoldenLog[] = [
  {
    // Entries 3 and 4 are replaced in their own segment; 9 and 10 are replaced from the next one.
    name: "plain",
    write(_, append) {
      append({ hardState: { term: 1, vote: 1, commit: 0 }, entries: [entry(1, 1, "")] });
      append({ entries: [entry(2, 1, "one"), entry(3, 1, "two"), entry(4, 1, "three")] });
      append({ hardState: { term: 2, vote: 2, commit: 2 }, entries: [entry(3, 2, "zwei")] });
      for (let index = 4; index <= 10; index++) append({ entries: [long(index)] });
      append({ hardState: { term: 3, vote: 0, commit: 5 }, entries: [entry(9, 3, "neun")] });
    },
    state: { hardState: { term: 3, vote: 0, commit: 5 }, compacted: { index: 0, term: 0 }, last: { index: 9, term: 3 } },
    entries: [entry(1, 1, ""), entry(2, 1, "one"), entry(3, 2, "zwei"), ...[4, 5, 6, 7, 8].map(long), entry(9, 3, "neun")],
  },
  {
    // The first segment was dropped, and the third is written over it.
    name: "compacted",
    write(log, append) {
      for (let index = 1; index <= 10; index++) append({ hardState: { term: 2, vote: 2, commit: index - 1 }, entries: [long(index)] });
      log.compact({ index: 9, term: 2 });
      for (let index = 11; index <= 14; index++) append({ entries: [long(index)] });
    },
    state: { hardState: { term: 2, vote: 2, commit: 9 }, compacted: { index: 9, term: 2 }, last: { index: 14, term: 2 } },
    entries: [10, 11, 12, 13, 14].map(long),
  },
  {
    // A snapshot replaced the log; then entry 21 was dropped.
    name: "snapshot",
    write(log, append) {
      append({ hardState: { term: 2, vote: 2, commit: 0 }, entries: [long(1), long(2)] });
      append({ hardState: { term: 4, vote: 3, commit: 20 }, snapshot: { index: 20, term: 3 }, entries: [] });
      append({ entries: [entry(21, 4, "dropped")] });
      append({ hardState: { term: 4, vote: 3, commit: 22 }, entries: [...AFTER_SNAPSHOT] });
      log.compact({ index: 21, term: 4 });
    },
    state: { hardState: { term: 4, vote: 3, commit: 22 }, compacted: { index: 21, term: 4 }, last: { index: 24, term: 4 } },
    entries: AFTER_SNAPSHOT,
  },
];

/** Writes a golden log into `folder`. */
export function writeGolden(golden: GoldenLog, parts: { readonly files: FileSystem; readonly crc32: Crc32 }, folder: string): void {
  const log = Log.open(parts, { folder, ...SETTINGS });
  let number = 0;
  golden.write(log, (batch) => {
    log.append([packed({ number: ++number, ...batch })]);
  });
  log.close();
}
