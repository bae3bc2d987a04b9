import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test, type TestContext } from "node:test";
import { isPumiceError } from "../../src/base/mod.ts";
import { systemFiles } from "../../src/host/mod.ts";
import { fileSystemConformance } from "../base/file-system-conformance.ts";

function temporaryFolder(context: TestContext): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "pumice-files-"));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  return folder;
}

fileSystemConformance("system files", (context) => ({ files: systemFiles, folder: temporaryFolder(context) }));

test("the system's own error is the cause, and the message names operation, path and errno", (context) => {
  const folder = temporaryFolder(context);
  assert.throws(
    () => systemFiles.open(`${folder}/none`, "read"),
    (error) =>
      isPumiceError(error, "FS_NOT_FOUND") &&
      error.cause instanceof Error &&
      error.message.includes("operation=open") &&
      error.message.includes(`path=${folder}/none`) &&
      error.message.includes("errno=ENOENT"),
  );
});

test("a full device is FS_NO_SPACE", { skip: !fs.existsSync("/dev/full") }, () => {
  const file = systemFiles.open("/dev/full", "write");
  assert.throws(
    () => file.write(new Uint8Array(1), 0),
    (error) => isPumiceError(error, "FS_NO_SPACE"),
  );
  file.close();
});
