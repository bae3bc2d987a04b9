/** Planted bugs of the built node: each loses, doubles or tears writes, and the kill test must notice. */
import type { Patch, PlantedBug } from "../../support/planted-bugs.ts";

const dist = (file: string, find: string, replace: string): Patch => ({ file: `dist/src/${file}`, find, replace });

/** All of them. */
export const MUTANTS: readonly PlantedBug[] = [
  {
    id: "T01",
    bug: "the applied index is written with every third batch only, so a restart applies some entries again",
    patches: [dist("sql/apply/state-machine.js", "table.setApplied(last);", "if (last.index % 3 === 0) table.setApplied(last);")],
  },
  {
    id: "T02",
    bug: "the log says that a batch is durable before it is written",
    patches: [
      dist(
        "replica/log/writer.js",
        "const { refusal } = this.#log.append([batch]);",
        'post(this.#scope, { kind: "persisted", number }); this.kept ??= []; this.kept.push(batch); if (this.kept.length < 30) return; const { refusal } = this.#log.append(this.kept.splice(0));',
      ),
    ],
  },
  {
    id: "T03",
    bug: "a queued write with wait is answered when it is accepted",
    patches: [dist("server/handlers/execute.js", "await withDeadline(accepted.done, ", 'await Promise.resolve({ results: "" }, ')],
  },
  {
    id: "T04",
    bug: "a transaction that fails keeps what it did before",
    patches: [
      dist("server/handlers/execute.js", "statements,\n        transaction: params.transaction", "statements,\n        transaction: false"),
    ],
  },
];
