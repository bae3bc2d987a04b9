import assert from "node:assert/strict";
import { test } from "node:test";
import * as zlib from "node:zlib";
import { crc32 } from "../../src/base/mod.ts";

test("the check value of CRC-32 is 0xCBF43926", () => {
  assert.equal(crc32(new TextEncoder().encode("123456789"), 0), 0xcbf43926);
});

test("crc32 equals zlib's for every length, whole or continued", () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => (i * 167 + 13) & 255);
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    assert.equal(crc32(part, 0), zlib.crc32(part));
    assert.equal(crc32(bytes.subarray(length), crc32(part, 0)), zlib.crc32(bytes));
  }
});
