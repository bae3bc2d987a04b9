/** The laws of pumiced's command line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { readValue, writeValue, type Flag } from "../../src/cli/flag-value.ts";
import { environmentName, FLAGS, type FlagValues } from "../../src/cli/flags.ts";
import { pumicedHelp } from "../../src/cli/help.ts";
import { readArguments } from "../../src/cli/pumiced-arguments.ts";

const existing = new URL(import.meta.url).pathname;

function accepted(
  args: readonly string[],
  environment: Record<string, string> = {},
): { values: FlagValues; dataDirectory: string; notices: readonly string[] } {
  const request = readArguments(args, environment);
  if (request.kind !== "run") return assert.fail(`${args.join(" ")}: ${JSON.stringify(request)}`);
  return request;
}

function refusal(args: readonly string[], environment: Record<string, string> = {}): string {
  const request = readArguments(args, environment);
  if (request.kind !== "refused") return assert.fail(`${args.join(" ")} was not refused`);
  return request.problem;
}

test("a flag's value follows it or an equals sign, with one dash or two, and the last one given counts", () => {
  assert.equal(accepted(["-node-id", "a", "data"]).values["node-id"], "a");
  assert.equal(accepted(["-node-id=a", "data"]).values["node-id"], "a");
  assert.equal(accepted(["--node-id=a=b", "data"]).values["node-id"], "a=b");
  assert.equal(accepted(["--node-id", "a", "-node-id", "", "data"]).values["node-id"], "");
  assert.equal(accepted(["-node-id", "-fk", "data"]).values["node-id"], "-fk", "as in Go, a value may look like a flag");
});

test("a boolean takes its value by an equals sign only", () => {
  assert.equal(accepted(["-fk", "data"]).values.fk, true);
  assert.equal(accepted(["-fk=false", "data"]).values.fk, false);
  assert.equal(accepted(["--fk=1", "data"]).values.fk, true);
  assert.equal(accepted(["-fk", "false"]).dataDirectory, "false");
  assert.match(refusal(["-fk=maybe", "data"]), /^-fk is true or false, not "maybe"$/);
});

test("flags end at two dashes, and exactly one data directory is last", () => {
  assert.equal(accepted(["--", "-data"]).dataDirectory, "-data");
  assert.match(refusal([]), /data directory is missing: pumiced \[FLAGS\] DIRECTORY/);
  assert.match(refusal(["a", "b"]), /exactly one data directory .*: "b"/);
  assert.match(refusal(["data", "-fk"]), /flags stand before the data directory: move -fk before data/);
});

test("the environment gives a value that the command line overrides", () => {
  assert.equal(accepted(["d"], { PUMICE_HTTP_ADDR: "127.0.0.1:5001" }).values["http-addr"], "127.0.0.1:5001");
  assert.equal(accepted(["-http-addr=:0", "-http-adv-addr=h:1", "d"], { PUMICE_HTTP_ADDR: "x:1" }).values["http-addr"], ":0");
  assert.equal(accepted([], { PUMICE_DATA_DIR: "there" }).dataDirectory, "there");
  assert.match(refusal(["d"], { PUMICE_READERS: "many" }), /environment variable PUMICE_READERS is a whole number, not "many"/);
});

test("an unknown flag is refused with the likeliest one", () => {
  assert.match(refusal(["-htp-addr", "x", "d"]), /unknown flag -htp-addr; did you mean -http-addr\? "pumiced -help" lists all/);
  assert.match(refusal(["-zzzzzzzzz", "d"]), /unknown flag -zzzzzzzzz; "pumiced -help" lists all/);
  assert.match(refusal(["-node-id"]), /-node-id needs a value/);
  assert.match(refusal(["-=x", "d"]), /is no flag/);
  assert.match(refusal(["-constructor", "d"]), /unknown flag -constructor/);
});

test("every command line of rqlite's own single-node tests is accepted", () => {
  const harness = [
    "-node-id",
    "1",
    "-http-addr",
    "localhost:1",
    "-bootstrap-expect",
    "1",
    "-raft-addr",
    "localhost:2",
    "-raft-snap",
    "8192",
  ];
  const request = accepted([
    ...harness,
    "-raft-snap-int",
    "1s",
    "-raft-cluster-remove-shutdown=false",
    "-raft-non-voter=false",
    "-raft-log-level",
    "INFO",
    "d",
  ]);
  assert.equal(request.values["raft-log-level"], "INFO");
  assert.deepEqual(
    request.notices.map((notice) => notice.split(" has")[0]),
    ["-raft-snap 8192", "-raft-snap-int 1s"],
    "what has no effect says so",
  );
});

test("a flag of rqlited that asks for more than one node does is refused by name and reason", () => {
  assert.match(
    refusal(["-join", "localhost:4002", "d"]),
    /^-join needs a cluster, and clusters of more than one node are not available yet/,
  );
  assert.match(refusal(["-bootstrap-expect=3", "d"]), /^-bootstrap-expect needs a cluster/);
  assert.match(refusal(["-raft-non-voter", "d"]), /^-raft-non-voter needs a cluster/);
  assert.match(refusal(["-auto-backup=file.json", "d"]), /^-auto-backup is not available yet/);
  assert.match(refusal(["-raft-timeout=1s", "d"]), /use -raft-heartbeat-timeout/);
  assert.match(refusal(["-raft-election-timeout=1s", "d"]), /use -raft-heartbeat-timeout/);
});

test("what can't work together is refused before anything starts", () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["-http-addr", "http://localhost:1"], /-http-addr is HOST:PORT without a scheme; drop "http:\/\/"/],
    [["-http-addr", "localhost"], /-http-addr is HOST:PORT/],
    [["-http-addr", "localhost:99999"], /-http-addr is HOST:PORT/],
    [["-http-addr="], /-http-addr can't be empty/],
    [["-http-addr", "localhost:4002"], /-http-addr and -raft-addr are both localhost:4002/],
    [["-http-addr", "localhost:4301", "-raft-addr", "127.0.0.1:4301"], /are both localhost:4301 \(also written 127\.0\.0\.1:4301\)/],
    [["-http-addr", "[::1]:4301", "-raft-addr", "LOCALHOST:4301"], /-http-addr and -raft-addr are both \[::1\]:4301/],
    [["-http-adv-addr", "h:1", "-raft-adv-addr", "H:1"], /told to others are both h:1/],
    [["-http-adv-addr", "h:1", "-raft-adv-addr", "h:1"], /told to others are both h:1/],
    [["-http-addr", "0.0.0.0:4001"], /0\.0\.0\.0:4001 can't be told to others: give -http-adv-addr/],
    [["-raft-addr", "[::]:4001"], /can't be told to others: give -raft-adv-addr/],
    [["-auth", "nowhere.json"], /-auth: no such file: nowhere\.json/],
    [["-http-cert", existing], /go together: give -http-key too/],
    [["-http-verify-client"], /needs HTTPS: give -http-cert and -http-key/],
    [["-readers", "0"], /-readers is at least 1, not 0/],
    [["-readers", "1e3"], /-readers is a whole number, not "1e3"/],
    [["-raft-apply-timeout", "10"], /-raft-apply-timeout is a duration/],
    [["-http-max-body", "1KB"], /-http-max-body is a size in bytes/],
    [["-raft-log-level", "LOUD"], /-raft-log-level is one of ERROR, WARN, INFO, DEBUG, not "LOUD"/],
  ];
  for (const [args, expected] of cases) assert.match(refusal([...args, "d"]), expected, args.join(" "));
});

test("every problem is one line", () => {
  const words = fc.constantFrom(
    "-fk",
    "-fk=x",
    "-join",
    "a\nb",
    "-a\nb",
    "--",
    "-readers",
    "0",
    "d",
    "-http-addr",
    "localhost:4002",
    "-http-addr=\n",
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 5 }), (args) => {
      const request = readArguments(args, {});
      return request.kind !== "refused" || /^.{10,}$/.test(request.problem);
    }),
  );
});

test("help lists every flag with its default, and every default is a value of its flag", () => {
  const help = pumicedHelp();
  for (const [name, flag] of Object.entries<Flag>(FLAGS)) {
    assert.ok(help.includes(`\n    -${name}`), name);
    const reading = readValue(flag, writeValue(flag, flag.default));
    assert.deepEqual(reading, { ok: true, value: flag.default }, name);
    assert.match(environmentName(name), /^PUMICE_[A-Z_]+$/);
  }
  for (const line of help.split("\n")) assert.ok(line.length <= 130, line);
});
