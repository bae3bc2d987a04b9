/** The laws of the credentials file. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError } from "../../src/base/mod.ts";
import { Credentials } from "../../src/server/auth.ts";

const basic = (username: string, password: string) => `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;

const credentials = Credentials.parse(
  JSON.stringify([
    { username: "bob", password: "s:cr\u20act", perms: ["execute", "query"] },
    { username: "root", password: "x", perms: ["all"] },
    { username: "idle", password: "y" },
    { username: "*", perms: ["status", "ready"] },
  ]),
  "auth.json",
);

test("a user may do what the file says, with the right password only", () => {
  assert.ok(credentials.allows(basic("bob", "s:cr\u20act"), "execute"));
  assert.ok(!credentials.allows(basic("bob", "s:cr\u20act"), "load"));
  assert.ok(!credentials.allows(basic("bob", "wrong"), "execute"));
  assert.ok(!credentials.allows(basic("bob", ""), "execute"));
  assert.ok(!credentials.allows(basic("BOB", "s:cr\u20act"), "execute"));
  assert.ok(!credentials.allows(basic("idle", "y"), "execute"));
  assert.ok(credentials.allows(basic("root", "x"), "leader-ops"));
});

test("what everybody may do needs no credentials, and wrong ones do not take it away", () => {
  assert.ok(credentials.allows(undefined, "status"));
  assert.ok(credentials.allows(basic("bob", "wrong"), "ready"));
  assert.ok(!credentials.allows(undefined, "query"));
});

test("the user * is nobody's name, and an unknown user with an empty password is nobody", () => {
  const open = Credentials.parse('[{"username":"*","password":"p","perms":["status"]}]', "f");
  assert.ok(!open.allows(basic("*", "p"), "execute"));
  assert.ok(!open.allows(basic("nobody", ""), "execute"));
});

test("headers that are no Basic credentials are no credentials", () => {
  for (const header of ["", "Basic", "Basic ", "Basic !!!", `Bearer ${basic("root", "x").slice(6)}`, "Basic OnBhc3M=", "Basic cm9vdA=="]) {
    assert.ok(!credentials.allows(header, "execute"), header);
  }
  assert.ok(credentials.allows(basic("root", "x").replace("Basic", "basic"), "execute"));
});

test("a file that cannot be used is refused with the entry that is wrong, and never shows a password", () => {
  const files: readonly (readonly [string, RegExp])[] = [
    ["{", /not valid JSON/],
    ["{}", /array/],
    ["[1]", /entry=0/],
    ['[{"password":"hunter2"}]', /username/],
    ['[{"username":"a","password":42}]', /password must be a string/],
    ['[{"username":"a","password":"hunter2","perms":"all"}]', /perms must be an array/],
    ['[{"username":"a","password":"hunter2","perms":["exec"]}]', /unknown permission "exec", use one of all/],
    ['[{"username":"a","password":"hunter2"},{"username":"a","password":"hunter2"}]', /twice/],
    ['[{"username":"a","password":"hunter2",}]', /not valid JSON/],
  ];
  for (const [text, problem] of files) {
    assert.throws(
      () => Credentials.parse(text, "auth.json"),
      (error) => isPumiceError(error, "SERVER_AUTH_FILE") && problem.test(error.message) && !error.message.includes("hunter2"),
      text,
    );
  }
});
