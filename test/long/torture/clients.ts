/**
 * The clients of the kill test, and what they remember: which numbered writes were acknowledged, refused, or left open by a connection that
 * broke. No number is ever sent twice, so a row that is there twice was applied twice.
 */
import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { exchange } from "../../support/pumiced.ts";

/** What a client knows of one of its writes. */
export const OPEN = 0;
export const ACKNOWLEDGED = 1;
export const REFUSED = 2;

/** The tables. None has a unique index on the numbers: it would hide what the test looks for. */
export const SCHEMA = [
  "CREATE TABLE IF NOT EXISTS written (client INTEGER NOT NULL, n INTEGER NOT NULL, filler TEXT)",
  "CREATE TABLE IF NOT EXISTS latest (client INTEGER PRIMARY KEY, n INTEGER NOT NULL)",
  "CREATE TABLE IF NOT EXISTS total (client INTEGER PRIMARY KEY, value INTEGER NOT NULL)",
];

type Kind = "single" | "pair" | "batch" | "queued" | "failing" | "large";

const KINDS: readonly Kind[] = ["single", "single", "pair", "pair", "batch", "queued", "failing", "large"];

/** One client: writes one thing after another until told to stop. */
export class Client {
  readonly id: number;
  /** Number -> OPEN, ACKNOWLEDGED or REFUSED. Number 0 is the client's setting up. */
  readonly fates: number[] = [];
  /** Numbers whose row comes with the client's total in one transaction. */
  readonly paired = new Set<number>();
  /** Answers that should not have been: the test fails with them. */
  readonly surprises: string[] = [];
  readonly #port: number;
  readonly #random: () => number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(id: number, port: number, random: () => number) {
    this.id = id;
    this.#port = port;
    this.#random = random;
  }

  /** How many of its numbers met that fate. */
  count(fate: number): number {
    let count = 0;
    for (const each of this.fates) if (each === fate) count += 1;
    return count;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const kind = KINDS[Math.floor(this.#random() * KINDS.length)] as Kind;
      await this.#write(kind);
    }
    this.#agent.destroy();
  }

  async #write(kind: Kind): Promise<void> {
    const numbers = Array.from({ length: kind === "batch" ? 5 : 1 }, () => this.fates.push(OPEN) - 1);
    const [path, statements] = this.#request(kind, numbers);
    let answer;
    try {
      answer = await exchange(this.#port, path, JSON.stringify(statements), this.#agent);
    } catch {
      await sleep(50 + this.#random() * 100); // The node is down: its fate stays open.
      return;
    }
    if (answer.status !== 200) {
      if (answer.status < 500 && answer.status !== 408) this.surprises.push(`${kind}: ${answer.status} ${answer.body}`);
      return;
    }
    this.#judge(kind, numbers, answer.body);
  }

  #judge(kind: Kind, numbers: readonly number[], body: string): void {
    const { results, error } = JSON.parse(body) as { results: { error?: string; rows_affected?: number }[]; error?: string };
    if (error !== undefined) return; // The node's state (no leader yet, closing): open.
    const isRefused = results.some((result) => result.error !== undefined);
    if (isRefused !== (kind === "failing")) {
      this.surprises.push(`${kind}: ${body.slice(0, 500)}`);
      return;
    }
    for (const number of numbers) this.fates[number] = isRefused ? REFUSED : ACKNOWLEDGED;
  }

  #request(kind: Kind, numbers: readonly number[]): [path: string, statements: unknown[]] {
    const n = numbers[0] as number;
    const insert = (number: number, filler: string | null): unknown[] => ["INSERT INTO written VALUES (?, ?, ?)", this.id, number, filler];
    switch (kind) {
      case "single":
        return ["/db/execute", [insert(n, null)]];
      case "large":
        return ["/db/execute", [insert(n, "x".repeat(Math.floor(this.#random() * 60_000)))]];
      case "pair":
        this.paired.add(n);
        return [
          "/db/execute?transaction",
          [
            insert(n, "pair"),
            ["INSERT INTO total VALUES (?, 1) ON CONFLICT DO UPDATE SET value = value + 1", this.id],
            ["INSERT INTO latest VALUES (?, ?) ON CONFLICT DO UPDATE SET n = excluded.n", this.id, n],
          ],
        ];
      case "batch":
        return ["/db/execute?transaction", numbers.map((number) => insert(number, null))];
      case "queued":
        return ["/db/execute?queue&wait", [insert(n, null)]];
      case "failing":
        return ["/db/execute?transaction", [insert(n, "never"), "INSERT INTO nowhere VALUES (1)"]];
      default:
        throw new Error(`no such kind: ${String(kind)}`);
    }
  }
}
