/**
 * Tools that list the tables of a database must not meet the internal one: `npm run interop:tools`. Each tool's own introspection is asked
 * over the HTTP API of a running node. The tools are no dependencies: they are looked up in the folder that PUMICE_TOOLS names (CONTRIBUTING.md says how to
 * fill it); one that is absent is skipped, and said. `--sent` prints the SQL that they send, for test/sql/introspection.test.ts.
 */
import { TestNode } from "../server/support/node.ts";
import { Http } from "./tools/http.ts";
import { isPresent, PEERS, type Peer } from "./tools/peers.ts";

const SCHEMA = [
  "CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, at TEXT DEFAULT CURRENT_TIMESTAMP)",
  "CREATE TABLE posts(id INTEGER PRIMARY KEY, author INTEGER REFERENCES users(id), body TEXT)",
  "CREATE INDEX posts_author ON posts(author)",
  "CREATE VIEW names AS SELECT name FROM users",
  "INSERT INTO users(name) VALUES('a')",
  "ANALYZE",
];

/** What each tool must see. Prisma leaves out `sqlite_sequence` and `sqlite_stat1` to `sqlite_stat4` by name and nothing else: docs/differences.md. */
function expected(peer: Peer): string[] {
  return peer.name.startsWith("Prisma") ? ["posts", "sqlite_pumice", "users"] : ["names", "posts", "users"];
}

async function ask(peer: Peer, folder: string): Promise<string> {
  await using node = await TestNode.start();
  await node.execute(...SCHEMA);
  const http = new Http(node.url);
  const names = await peer.names(http, { folder, url: node.url });
  if (process.argv.includes("--sent")) for (const sql of http.sent) console.log(`  ${sql.replace(/\s+/g, " ").trim()}`);
  const want = expected(peer);
  if (names.join() !== want.join()) throw new Error(`sees ${names.join()} instead of ${want.join()}`);
  return names.join(", ");
}

const folder = process.env["PUMICE_TOOLS"];
if (folder === undefined) console.log("PUMICE_TOOLS is not set: every tool is skipped (CONTRIBUTING.md says how to get them)");
let failed = 0;
let skipped = 0;
for (const peer of PEERS) {
  if (folder === undefined || !isPresent(peer, folder)) {
    skipped++;
    console.log(`SKIPPED  ${peer.name}: needs ${peer.needs.join(", ")}`);
    continue;
  }
  try {
    console.log(`ok       ${peer.name}: ${await ask(peer, folder)}`);
  } catch (error) {
    failed++;
    console.log(`FAILED   ${peer.name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
console.log(`${PEERS.length - failed - skipped} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed === 0 ? 0 : 1);
