/** Planted bugs of apply: each breaks one rule, and the law that the outcome of an entry does not depend on its batch must notice. */
import type { Patch, PlantedBug } from "../../support/planted-bugs.ts";

const sql = (file: string, find: string, replace: string): Patch => ({ file: `src/sql/${file}`, find, replace });

/** All of them. */
export const MUTANTS: readonly PlantedBug[] = [
  {
    id: "Q01",
    bug: "the end of the transaction goes unnoticed",
    patches: [
      sql(
        "apply/entry-runner.ts",
        "if (!this.#connection.isTransaction) throw new Broken(",
        "if (!this.#connection.isTransaction && unit < 0) throw new Broken(",
      ),
    ],
  },
  {
    id: "Q02",
    bug: "counters go on from entry to entry",
    patches: [sql("apply/entry-runner.ts", "DELETE FROM ${STATE_TABLE} WHERE k = pumice_enter(?, ?, ?)", "SELECT pumice_enter(?, ?, ?)")],
  },
  {
    id: "Q03",
    bug: "deferred foreign keys are not looked at",
    patches: [sql("apply/entry-runner.ts", "const isPending = (flags & FLAG_DEFERRED_FK) !== 0;", "const isPending = false;")],
  },
  {
    id: "Q04",
    bug: "full-text writes are left to the next entry",
    patches: [
      sql(
        "apply/entry-runner.ts",
        "    this.#flushVirtual(state);\n    return resultOf(state, error);",
        "    return resultOf(state, error);",
      ),
    ],
  },
  {
    id: "Q05",
    bug: "statistics outlive a rollback",
    patches: [
      sql(
        "apply/entry-runner.ts",
        "if (prepared.touchesStatistics) {\n      this.#needsNewConnection(state);",
        "if (prepared.touchesStatistics) {",
      ),
    ],
  },
  {
    id: "Q06",
    bug: "settings of FTS5 outlive a rollback",
    patches: [sql("apply/entry-runner.ts", "if (this.#connection.authorizer.wroteModuleSettings) this.#needsNewConnection(state);", "")],
  },
  {
    id: "Q07",
    bug: "outcomes by request id survive a rollback in memory",
    patches: [sql("apply/state-machine.ts", "    sessions.rollback();\n", "    sessions.commit();\n")],
  },
  {
    id: "Q08",
    bug: "a prepared statement outlives the schema it was made for",
    patches: [sql("apply/entry-runner.ts", "if (prepared.changesSchema) this.#connection.forgetStatements();", "")],
  },
  {
    id: "Q09",
    bug: "a unit that failed is not undone where its entry is alone",
    patches: [
      sql(
        "apply/entry-runner.ts",
        'if (state.control.isAlone) throw new Broken({ kind: "undone", result: resultOf(state, error) });',
        "if (state.control.isAlone) return;",
      ),
    ],
  },
  {
    id: "Q10",
    bug: "a statement that failed keeps its error",
    patches: [sql("connection/connection.ts", "      this.#cache.delete(prepared.sql);\n", "")],
  },
  {
    id: "Q11",
    bug: "the largest rowid is stored in an entry alone",
    patches: [
      sql("apply/entry-runner.ts", 'if ((flags & FLAG_ROWID_MAX) !== 0) throw new Broken({ kind: "ended", unit, text: ROWID_TEXT });', ""),
    ],
  },
  {
    id: "Q12",
    bug: "an own statement loses its mode",
    patches: [
      sql(
        "connection/connection.ts",
        'return prepared.statement.run(...params);\n    } finally {\n      authorizer.mode = "own";',
        "return prepared.statement.run(...params);\n    } finally {",
      ),
    ],
  },
];
