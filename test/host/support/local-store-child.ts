/**
 * A process that uses a local store and may die in it. Arguments: a JSON object.
 * - `{ mode: "crash", root, op, at }`: does `op` on key `dir/k` and kills itself before call number `at` of those that change files; exits 0 if it got through.
 * - `{ mode: "count", root, key }`: increments the number under `key` by compare-and-swap for ever, and prints each number it stored.
 */
import { fromUtf8, utf8 } from "../../../src/base/mod.ts";
import { LocalObjectStore } from "../../../src/host/local-store/local-object-store.ts";
import { hookFiles, type HookedCall } from "./fs-hook.ts";

interface Job {
  readonly mode: "crash" | "count";
  readonly root: string;
  readonly op: "create" | "replace" | "match" | "delete";
  readonly at: number;
  readonly key: string;
}

const job = JSON.parse(process.argv[2] ?? "{}") as Job;
const store = new LocalObjectStore({ root: job.root });

const CHANGES = new Set<HookedCall>(["open", "write", "futimes", "fsync", "link", "rename", "unlink", "symlink", "mkdir"]);

async function crash(): Promise<void> {
  const key = "dir/k";
  const meta = await store.head(key);
  let count = 0;
  hookFiles((call) => {
    if (CHANGES.has(call.name) && ++count === job.at) process.kill(process.pid, "SIGKILL");
    return undefined;
  });
  const body = new Uint8Array(100_000).fill(2);
  if (job.op === "create") await store.putIf(key, body, { kind: "absent" });
  else if (job.op === "replace") await store.put(key, body);
  else if (job.op === "match" && meta !== undefined) await store.putIf(key, body, { kind: "match", etag: meta.etag });
  else if (job.op === "delete") await store.delete(key);
}

async function countForEver(): Promise<void> {
  for (;;) {
    const meta = await store.head(job.key);
    const body = await store.get(job.key);
    if (meta === undefined || body === undefined) throw new Error("the counter is gone");
    const next = Number(fromUtf8(body)) + 1;
    const result = await store.putIf(job.key, utf8(String(next)), { kind: "match", etag: meta.etag });
    if (result.ok) process.stdout.write(`${next}\n`);
  }
}

if (job.mode === "crash") await crash();
else await countForEver();
