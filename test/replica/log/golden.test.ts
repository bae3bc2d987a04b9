import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as zlib from "node:zlib";
import { crc32, isPumiceError, seededRandom, toHex } from "../../../src/base/mod.ts";
import { systemFiles } from "../../../src/host/mod.ts";
import { FRAME_HEADER_BYTES, LOG_FORMAT_VERSION, headFrame, sealFrames, segmentSeed } from "../../../src/replica/log/format.ts";
import { Log } from "../../../src/replica/mod.ts";
import { SimDisk } from "../../../src/sim/mod.ts";
import { GOLDEN_IDENTITY, GOLDEN_LOGS, writeGolden } from "./support/golden.ts";
import { contentsOf } from "./support/model.ts";

/** One folder per version of the format. A version's files never change; a new version gets a new folder, and the old one is still read. */
const versionFolder = (version: number): string => fileURLToPath(new URL(`golden/v${version}`, import.meta.url));

function filesOf(folder: string, read: (name: string) => Uint8Array): string[] {
  return fs
    .readdirSync(folder)
    .sort()
    .map((name) => `${name} ${toHex(read(name))}`);
}

for (const golden of GOLDEN_LOGS) {
  const home = path.join(versionFolder(LOG_FORMAT_VERSION), golden.name);

  test(`the log writes the golden files of version 2, byte for byte, with either checksum: ${golden.name}`, () => {
    for (const checksum of [crc32, zlib.crc32]) {
      const disk = new SimDisk(seededRandom(1));
      writeGolden(golden, { files: disk.files, crc32: checksum }, "log");
      assert.deepEqual(disk.files.list("log"), fs.readdirSync(home).sort());
      const written = filesOf(home, (name) => {
        const file = disk.files.open(`log/${name}`, "read");
        const bytes = new Uint8Array(file.size());
        file.read(bytes, 0);
        return bytes;
      });
      assert.deepEqual(
        written,
        filesOf(home, (name) => fs.readFileSync(path.join(home, name))),
      );
    }
  });

  for (let version = 1; version <= LOG_FORMAT_VERSION; version++) {
    test(`the log reads the golden files of version ${version}: ${golden.name}`, (context) => {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "pumice-golden-"));
      context.after(() => fs.rmSync(folder, { recursive: true }));
      fs.cpSync(path.join(versionFolder(version), golden.name), folder, { recursive: true });
      // An older log is given an identity and goes on in the newest format; a newer one has its own.
      const other = { clusterId: "f".repeat(32), nodeId: 8 };
      for (let round = 0; round < 2; round++) {
        const log = Log.open({ files: systemFiles, crc32: zlib.crc32 }, { folder, begin: { identity: other } });
        assert.deepEqual(log.state, golden.state);
        assert.deepEqual(log.identity, version === 1 ? other : GOLDEN_IDENTITY);
        assert.deepEqual(contentsOf(log, 1), golden.entries);
        log.close();
      }
    });
  }
}

test("a log of a newer version is refused by name and number", (context) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "pumice-golden-"));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  const name = "0000000000000001-00000001.log";
  const bytes = headFrame({ identity: undefined, id: 1, previous: undefined }, { index: 0, term: 0 });
  bytes[FRAME_HEADER_BYTES] = LOG_FORMAT_VERSION + 1;
  sealFrames(bytes, { segmentSeed: segmentSeed(1, crc32), offset: 0, previous: 0 }, crc32);
  fs.writeFileSync(path.join(folder, name), bytes);
  assert.throws(
    () => Log.open({ files: systemFiles, crc32 }, { folder }),
    (error) =>
      isPumiceError(error, "LOG_VERSION") && error.details["segment"] === name && error.details["version"] === LOG_FORMAT_VERSION + 1,
  );
});
