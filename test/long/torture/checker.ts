/** What must hold of the database after any number of kills, judged by what the clients remember. */
import { exchange } from "../../support/pumiced.ts";
import { ACKNOWLEDGED, OPEN, type Client } from "./clients.ts";

/** The laws that do not hold, a line each. Empty: all is well. To be called while no client writes. */
export async function check(port: number, clients: readonly Client[]): Promise<string[]> {
  const broken: string[] = [];
  for (const client of clients)
    broken.push(...(await checkClient(port, client)), ...client.surprises.map((surprise) => `client ${client.id}: ${surprise}`));
  const integrity = await rows(port, "PRAGMA integrity_check");
  if (integrity.length !== 1 || integrity[0]?.[0] !== "ok") broken.push(`integrity_check: ${JSON.stringify(integrity).slice(0, 300)}`);
  return broken;
}

async function checkClient(port: number, client: Client): Promise<string[]> {
  const broken: string[] = [];
  const say = (n: number, what: string): number => broken.push(`client ${client.id} number ${n}: ${what}`);
  const counts = new Map<number, number>();
  for (const [n, count] of await rows(port, `SELECT n, count(*) FROM written WHERE client = ${client.id} GROUP BY n`))
    counts.set(Number(n), Number(count));
  for (const [n, fate] of client.fates.entries()) {
    const count = counts.get(n) ?? 0;
    if (fate === ACKNOWLEDGED && count !== 1) say(n, `acknowledged and there ${count} times`);
    else if (fate === OPEN && count > 1) say(n, `left open and there ${count} times`);
    else if (fate !== ACKNOWLEDGED && fate !== OPEN && count !== 0) say(n, `refused and there ${count} times`);
  }
  for (const n of counts.keys()) if (n >= client.fates.length) say(n, "there and never sent");
  const pairs = [...client.paired].filter((n) => (counts.get(n) ?? 0) > 0);
  const [[total] = [0]] = await rows(port, `SELECT value FROM total WHERE client = ${client.id}`);
  if (Number(total) !== pairs.length)
    broken.push(`client ${client.id}: its total is ${String(total)} and ${pairs.length} of the rows that came with it are there`);
  const [[latest] = [undefined]] = await rows(port, `SELECT n FROM latest WHERE client = ${client.id}`);
  // Each number is sent when the fate of the one before is settled or the node was killed, so they commit in order.
  if (latest !== pairs.at(-1)) broken.push(`client ${client.id}: its latest is ${String(latest)} and not ${pairs.at(-1)}`);
  return broken;
}

/** How many rows of a client's there are, by a linearizable read. */
export async function countWritten(port: number, client: Client): Promise<number | undefined> {
  const [[count] = [undefined]] = await rows(port, `SELECT count(*) FROM written WHERE client = ${client.id}`).catch(() => []);
  return count === undefined ? undefined : Number(count);
}

async function rows(port: number, sql: string): Promise<readonly (readonly unknown[])[]> {
  const answer = await exchange(port, "/db/query?level=linearizable", JSON.stringify([sql]));
  const { results, error } = JSON.parse(answer.body) as { results: { values?: unknown[][]; error?: string }[]; error?: string };
  const problem = error ?? results[0]?.error;
  if (problem !== undefined) throw new Error(`${sql}: ${problem}`);
  return results[0]?.values ?? [];
}
