/** Planted bugs of the production replica: each breaks one promise to the database's clients, and the lives of the seeds named for it must notice. */
import type { Patch, PlantedBug } from "../../support/planted-bugs.ts";

/** A planted bug, and the seeds of lives that noticed it soon when it was planted; others are tried after them. */
export interface ClusterBug extends PlantedBug {
  readonly seeds: readonly number[];
}

const log = (find: string, replace: string): Patch => ({ file: "src/replica/log/log.ts", find, replace });
const writer = (find: string, replace: string): Patch => ({ file: "src/replica/log/writer.ts", find, replace });
const core = (find: string, replace: string): Patch => ({ file: "src/replica/core.ts", find, replace });
const apply = (file: string, find: string, replace: string): Patch => ({ file: `src/sql/apply/${file}`, find, replace });

/** All of them. */
export const MUTANTS: readonly ClusterBug[] = [
  {
    id: "C01",
    bug: "the log's writer acknowledges a batch when it comes, and writes it when the next request comes",
    seeds: [0],
    patches: [
      writer("  #hasFailed = false;\n\n  constructor", "  #hasFailed = false;\n  #late: PackedBatch | undefined;\n\n  constructor"),
      writer(
        "  receive(request: LogRequest): void {\n",
        "  receive(request: LogRequest): void {\n    if (this.#late !== undefined) this.#log.append([this.#late]);\n    this.#late = undefined;\n",
      ),
      writer(
        '      const { refusal } = this.#log.append([batch]);\n      if (refusal === undefined) post(this.#scope, { kind: "persisted", number });\n' +
          '      else post(this.#scope, { kind: "refused", number, error: packError(refusal) });\n',
        '      this.#late = batch;\n      post(this.#scope, { kind: "persisted", number });\n',
      ),
    ],
  },
  {
    id: "C02",
    bug: "a batch of the log is not synced before it is acknowledged",
    seeds: [0],
    patches: [log("      tail.file.datasync();\n", "")],
  },
  {
    id: "C03",
    bug: "the log is cut up to the newest applied entry, which the synced database file does not hold yet",
    seeds: [1],
    patches: [
      {
        file: "src/replica/disk/wal-checkpoints.ts",
        find: "this.#positions.find(({ index }) => index === result.durableIndex)",
        replace: "this.#positions.at(-1)",
      },
    ],
  },
  {
    id: "C04",
    bug: "a checkpoint that readers kept from being whole is called durable, and the WAL is not synced instead",
    seeds: [2],
    patches: [
      apply(
        "state-machine.ts",
        "    if (row.logFrames !== row.checkpointedFrames) this.#walFile()?.datasync();\n    this.#durableIndex",
        "    this.#durableIndex",
      ),
    ],
  },
  {
    id: "C05",
    bug: "the applied index is written with every third entry only",
    seeds: [0],
    patches: [
      apply(
        "state-machine.ts",
        "      table.setApplied(last);\n      commit.run();",
        "      if (last.index % 3 === 0) table.setApplied(last);\n      commit.run();",
      ),
    ],
  },
  {
    id: "C06",
    bug: "outcomes by request id are forgotten at a restart",
    seeds: [4],
    patches: [apply("sessions.ts", "new Map(table.sessions().map((row) => [row.session, row]))", "new Map()")],
  },
  {
    id: "C07",
    bug: "the pieces of a load are put together in the wrong order",
    seeds: [0],
    patches: [apply("load.ts", "table.chunk(command.load, number)", "table.chunk(command.load, command.chunkCount - 1 - number)")],
  },
  {
    id: "C08",
    bug: "a loaded database does not say which entry it comes from",
    seeds: [0],
    patches: [apply("load.ts", '    put.run("applied", BigInt(what.entry.index), BigInt(what.entry.term), null);\n', "")],
  },
  {
    id: "C09",
    bug: "the time of entries is the clock's, which may go back",
    seeds: [7],
    patches: [core("Math.max(this.#lastTimeMs, this.#parts.clock.now())", "this.#parts.clock.now()")],
  },
  {
    id: "C10",
    bug: "a clock that goes back far is believed within one leader",
    seeds: [7],
    patches: [
      core(
        "this.#lastTimeMs = Math.max(this.#lastTimeMs, this.#parts.clock.now());",
        "const now = this.#parts.clock.now();\n    this.#lastTimeMs = now < this.#lastTimeMs - 600_000 ? now : Math.max(this.#lastTimeMs, now);",
      ),
    ],
  },
  {
    id: "C11",
    bug: "the log goes on in a new segment whose name is not durable",
    seeds: [4],
    patches: [
      log(
        "    file.datasync();\n    this.#parts.files.syncDirectory(this.#folder);\n    this.#written",
        "    file.datasync();\n    this.#written",
      ),
    ],
  },
  {
    id: "C12",
    bug: "outcomes by request id are stored only for every other entry",
    seeds: [1],
    patches: [
      apply(
        "sessions.ts",
        "    this.#table.putSession(row, encodeOutcome(result));\n",
        "    if (index % 2 === 0) this.#table.putSession(row, encodeOutcome(result));\n",
      ),
    ],
  },
];
