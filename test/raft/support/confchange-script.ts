/** The membership scripts: one configuration, changed step by step. */
import { EMPTY_CONFIGURATION, changeSimply, enterJoint, leaveJoint, type ChangeResult } from "../../../src/raft/configuration.ts";
import type { ConfChangeStep } from "../../../src/raft/mod.ts";
import { Tracker } from "../../../src/raft/tracker.ts";
import { describeConfiguration, describeProgress } from "./describe.ts";
import { valueOf, type Case } from "./datadriven.ts";

const KINDS = { v: "add-voter", l: "add-learner", r: "remove", u: "update" } as const;

/** `v1 l2`: steps of a change. */
export function parseSteps(text: string): ConfChangeStep[] {
  return text
    .split(/\s+/)
    .filter((token) => token !== "")
    .map((token) => {
      const kind = KINDS[token[0] as keyof typeof KINDS];
      if (kind === undefined || !/^\d+$/.test(token.slice(1))) throw new Error(`unknown input: ${token}`);
      return { kind, nodeId: Number(token.slice(1)) };
    });
}

/** One script's configuration. Every command, also one that fails, moves the log by an entry. */
export class ConfChangeScript {
  readonly #tracker = new Tracker({ maxInflightMessages: 10, maxInflightBytes: Infinity });
  #lastIndex = 0;

  constructor() {
    this.#tracker.switchTo(EMPTY_CONFIGURATION, 0);
  }

  run(test: Case): string {
    const result = this.#change(test, parseSteps(test.input));
    const lastIndex = this.#lastIndex++;
    if (!result.ok) return `${result.reason}\n`;
    this.#tracker.switchTo(result.config, lastIndex);
    const rows = this.#tracker.members.map((id) => {
      const progress = this.#tracker.progress(id);
      return progress === undefined ? "" : `${id}: ${describeProgress(progress)}\n`;
    });
    return `${describeConfiguration(result.config)}\n${rows.join("")}`;
  }

  #change(test: Case, steps: readonly ConfChangeStep[]): ChangeResult {
    const { config } = this.#tracker;
    switch (test.command) {
      case "simple":
        return changeSimply(config, steps);
      case "enter-joint":
        return enterJoint(config, steps, valueOf(test, "autoleave") === "true");
      case "leave-joint":
        return leaveJoint(config);
      default:
        throw new Error(`unknown command ${test.command}`);
    }
  }
}
