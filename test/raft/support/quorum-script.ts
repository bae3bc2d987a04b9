/** The quorum scripts: what a majority, or two, have committed or voted. */
import { jointIndex, jointVote, majorityIndex, majorityVote } from "../../../src/raft/quorum.ts";
import { hex } from "./describe.ts";
import { valuesOf, valueOf, type Case } from "./datadriven.ts";

const RESULTS = { pending: "VotePending", lost: "VoteLost", won: "VoteWon" } as const;

/** Runs one command. */
export function runQuorumCase(test: Case): string {
  const cfg = voters(test, "cfg");
  const isJoint = valuesOf(test, "cfgj") !== undefined;
  const cfgj = voters(test, "cfgj");
  const order = [...new Set([...cfg, ...cfgj])];
  const key = test.command === "vote" ? "votes" : "idx";
  const input = valuesOf(test, key) ?? [];
  if (input.length !== order.length)
    return `error: mismatched input (explicit or _) for voters [${order.join(" ")}]: [${input.join(" ")}]\n`;
  if (test.command === "vote") {
    const given = new Map(order.map((id, at) => [id, input[at]]));
    const voted = (id: number): boolean | undefined => ({ y: true, n: false })[given.get(id) ?? "_"];
    const result = isJoint ? jointVote(sorted(cfg), sorted(cfgj), voted) : majorityVote(sorted(cfg), voted);
    return `${RESULTS[result]}\n`;
  }
  if (test.command !== "committed") throw new Error(`unknown command ${test.command}`);
  const acked = new Map<number, number>();
  order.forEach((id, at) => {
    if (input[at] !== "_") acked.set(id, Number(input[at]));
  });
  const index = (id: number): number => acked.get(id) ?? 0;
  const result = isJoint ? jointIndex(sorted(cfg), sorted(cfgj), index) : majorityIndex(sorted(cfg), index);
  return `${chart(sorted(order), acked)}${result === Infinity ? "∞" : result}\n`;
}

function voters(test: Case, key: string): number[] {
  if (valueOf(test, key) === "zero") return [];
  return (valuesOf(test, key) ?? []).map(Number);
}

function sorted(list: readonly number[]): number[] {
  return [...new Set(list)].sort((left, right) => left - right);
}

/** Who is how far, as bars: longer for who is ahead of more members. */
function chart(members: readonly number[], acked: ReadonlyMap<number, number>): string {
  const size = members.length;
  if (size === 0) return "<empty majority quorum>";
  const indexOf = (id: number): number => acked.get(id) ?? 0;
  let text = `${" ".repeat(size)}    idx\n`;
  for (const id of members) {
    const bar = members.filter((other) => indexOf(other) < indexOf(id)).length;
    text += acked.has(id) ? `${"x".repeat(bar)}>${" ".repeat(size - bar)}` : `?${" ".repeat(size)}`;
    text += ` ${String(indexOf(id)).padStart(5)}    (id=${hex(id)})\n`;
  }
  return text;
}
