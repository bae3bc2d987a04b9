/** What every FileSystem keeps while nothing crashes. (What a crash may take is the simulated one's own test.) */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { isPumiceError, utf8, fromUtf8, type ErrorCode, type FileSystem } from "../../src/base/mod.ts";

/** `folder` exists and is empty. */
export interface FileSystemWorld {
  readonly files: FileSystem;
  readonly folder: string;
}

function throwsCode(code: ErrorCode, call: () => unknown): void {
  assert.throws(call, (error) => isPumiceError(error, code));
}

export function fileSystemConformance(name: string, create: (context: TestContext) => FileSystemWorld): void {
  test(`${name}: what was written is read, by this handle and by another`, (context) => {
    const { files, folder } = create(context);
    const file = files.open(`${folder}/a`, "create");
    file.write(utf8("hello world"), 0);
    file.write(utf8("W"), 6);
    const target = new Uint8Array(11);
    assert.equal(file.read(target, 0), 11);
    assert.equal(fromUtf8(target), "hello World");
    const other = files.open(`${folder}/a`, "read");
    assert.equal(other.read(target.subarray(0, 5), 6), 5);
    assert.equal(fromUtf8(target.subarray(0, 5)), "World");
    file.close();
    other.close();
  });

  test(`${name}: a read is short only at the file's end`, (context) => {
    const { files, folder } = create(context);
    const file = files.open(`${folder}/a`, "create");
    file.write(utf8("0123456789"), 0);
    const target = new Uint8Array(8).fill(0xff);
    assert.equal(file.read(target, 6), 4);
    assert.deepEqual([...target.subarray(4)], [0xff, 0xff, 0xff, 0xff]);
    assert.equal(file.read(target, 10), 0);
    assert.equal(file.read(target, 1000), 0);
    assert.equal(file.read(new Uint8Array(0), 0), 0);
    file.close();
  });

  test(`${name}: a write beyond the end fills the gap with zeros`, (context) => {
    const { files, folder } = create(context);
    const file = files.open(`${folder}/a`, "create");
    file.write(Uint8Array.of(7), 5000);
    assert.equal(file.size(), 5001);
    const target = new Uint8Array(5001).fill(0xff);
    assert.equal(file.read(target, 0), 5001);
    assert.ok(target.subarray(0, 5000).every((byte) => byte === 0));
    assert.equal(target[5000], 7);
    file.close();
  });

  test(`${name}: an empty write changes nothing, not even the size`, (context) => {
    const { files, folder } = create(context);
    const file = files.open(`${folder}/a`, "create");
    file.write(new Uint8Array(0), 100);
    assert.equal(file.size(), 0);
    file.close();
  });

  test(`${name}: a write takes the bytes as they are at the call`, (context) => {
    const { files, folder } = create(context);
    const file = files.open(`${folder}/a`, "create");
    const bytes = utf8("before");
    file.write(bytes, 0);
    bytes.fill(0);
    const target = new Uint8Array(6);
    file.read(target, 0);
    assert.equal(fromUtf8(target), "before");
    file.close();
  });

  test(`${name}: truncate cuts, and extends with zeros; what was cut does not come back`, (context) => {
    const { files, folder } = create(context);
    const file = files.open(`${folder}/a`, "create");
    file.write(utf8("0123456789"), 0);
    file.truncate(4);
    assert.equal(file.size(), 4);
    file.truncate(8);
    const target = new Uint8Array(10);
    assert.equal(file.read(target, 0), 8);
    assert.equal(fromUtf8(target.subarray(0, 8)), "0123\0\0\0\0");
    file.close();
  });

  test(`${name}: syncs succeed and change no byte`, (context) => {
    const { files, folder } = create(context);
    const file = files.open(`${folder}/a`, "create");
    file.write(utf8("kept"), 0);
    file.datasync();
    file.sync();
    files.syncDirectory(folder);
    const target = new Uint8Array(4);
    file.read(target, 0);
    assert.equal(fromUtf8(target), "kept");
    file.close();
  });

  test(`${name}: open says what is missing and what is there already`, (context) => {
    const { files, folder } = create(context);
    throwsCode("FS_NOT_FOUND", () => files.open(`${folder}/none`, "read"));
    throwsCode("FS_NOT_FOUND", () => files.open(`${folder}/none`, "write"));
    throwsCode("FS_NOT_FOUND", () => files.open(`${folder}/none/a`, "create"));
    files.open(`${folder}/a`, "create").close();
    throwsCode("FS_EXISTS", () => files.open(`${folder}/a`, "create"));
    files.open(`${folder}/a`, "write").close();
  });

  test(`${name}: a closed file answers nothing, and closing again is harmless`, (context) => {
    const { files, folder } = create(context);
    const file = files.open(`${folder}/a`, "create");
    file.close();
    file.close();
    throwsCode("FS_CLOSED", () => file.read(new Uint8Array(1), 0));
    throwsCode("FS_CLOSED", () => file.write(new Uint8Array(1), 0));
    throwsCode("FS_CLOSED", () => file.datasync());
    throwsCode("FS_CLOSED", () => file.sync());
    throwsCode("FS_CLOSED", () => file.size());
    throwsCode("FS_CLOSED", () => file.truncate(0));
  });

  test(`${name}: a file opened for reading cannot be written`, (context) => {
    const { files, folder } = create(context);
    files.open(`${folder}/a`, "create").close();
    const file = files.open(`${folder}/a`, "read");
    throwsCode("FS_IO", () => file.write(Uint8Array.of(1), 0));
    file.close();
  });

  test(`${name}: list gives the names of one folder, sorted by code unit`, (context) => {
    const { files, folder } = create(context);
    for (const file of ["b", "a", "B", "ä", "a.1"]) files.open(`${folder}/${file}`, "create").close();
    files.makeDirectory(`${folder}/sub/deep`);
    files.open(`${folder}/sub/c`, "create").close();
    assert.deepEqual(files.list(folder), ["B", "a", "a.1", "b", "sub", "ä"]);
    assert.deepEqual(files.list(`${folder}/sub`), ["c", "deep"]);
    throwsCode("FS_NOT_FOUND", () => files.list(`${folder}/none`));
  });

  test(`${name}: makeDirectory makes those above too, and again is no error`, (context) => {
    const { files, folder } = create(context);
    files.makeDirectory(`${folder}/x/y/z`);
    files.makeDirectory(`${folder}/x/y/z`);
    assert.ok(files.exists(`${folder}/x/y/z`) && files.exists(`${folder}/x`));
    assert.ok(!files.exists(`${folder}/x/z`));
    files.syncDirectory(`${folder}/x/y`);
  });

  test(`${name}: rename moves, and replaces what stood there`, (context) => {
    const { files, folder } = create(context);
    const file = files.open(`${folder}/a`, "create");
    file.write(utf8("new"), 0);
    file.close();
    files.open(`${folder}/b`, "create").close();
    files.rename(`${folder}/a`, `${folder}/b`);
    assert.deepEqual(files.list(folder), ["b"]);
    const moved = files.open(`${folder}/b`, "read");
    assert.equal(moved.size(), 3);
    moved.close();
    files.makeDirectory(`${folder}/sub`);
    files.rename(`${folder}/b`, `${folder}/sub/c`);
    assert.deepEqual(files.list(`${folder}/sub`), ["c"]);
    throwsCode("FS_NOT_FOUND", () => files.rename(`${folder}/none`, `${folder}/d`));
  });

  test(`${name}: an open file outlives its name`, (context) => {
    const { files, folder } = create(context);
    const file = files.open(`${folder}/a`, "create");
    file.write(utf8("still"), 0);
    files.remove(`${folder}/a`);
    assert.ok(!files.exists(`${folder}/a`));
    const target = new Uint8Array(5);
    assert.equal(file.read(target, 0), 5);
    files.open(`${folder}/a`, "create").close();
    assert.equal(file.size(), 5);
    file.close();
    throwsCode("FS_NOT_FOUND", () => files.remove(`${folder}/none`));
  });

  test(`${name}: removing a folder as if it were a file is refused`, (context) => {
    const { files, folder } = create(context);
    files.makeDirectory(`${folder}/sub`);
    throwsCode("FS_IO", () => files.remove(`${folder}/sub`));
    assert.ok(files.exists(`${folder}/sub`));
  });
}
