/** A test that cannot fail proves nothing: each rule of apply is broken in a copy of the source, and the law of batches must notice. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "./support/database.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Plant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const PLANTS: readonly Plant[] = [
  {
    name: "the end of the transaction goes unnoticed",
    file: "entry-runner.ts",
    from: "if (!this.#connection.isTransaction) throw new Broken(",
    to: "if (!this.#connection.isTransaction && unit < 0) throw new Broken(",
  },
  {
    name: "counters go on from entry to entry",
    file: "entry-runner.ts",
    from: "DELETE FROM _pumice WHERE k = pumice_enter(?, ?, ?)",
    to: "SELECT pumice_enter(?, ?, ?)",
  },
  {
    name: "deferred foreign keys are not looked at",
    file: "entry-runner.ts",
    from: "const isPending = (flags & FLAG_DEFERRED_FK) !== 0;",
    to: "const isPending = false;",
  },
  {
    name: "full-text writes are left to the next entry",
    file: "entry-runner.ts",
    from: "    if (this.#virtualWrites > 0) {\n      this.#savepoint.run();\n      this.#release.run();\n    }",
    to: "",
  },
  {
    name: "statistics outlive a rollback",
    file: "entry-runner.ts",
    from: "if (prepared.touchesStatistics) this.#needsNewConnection(state);",
    to: "",
  },
  {
    name: "settings of FTS5 outlive a rollback",
    file: "entry-runner.ts",
    from: "if (this.#connection.authorizer.wroteModuleSettings) this.#needsNewConnection(state);",
    to: "",
  },
  {
    name: "outcomes by request id survive a rollback in memory",
    file: "state-machine.ts",
    from: "    sessions.rollback();\n",
    to: "    sessions.commit();\n",
  },
  {
    name: "a prepared statement outlives the schema it was made for",
    file: "entry-runner.ts",
    from: "if (prepared.changesSchema) this.#connection.forgetStatements();",
    to: "",
  },
  {
    name: "a rollback of writes to virtual tables is not looked at",
    file: "entry-runner.ts",
    from: "if (wroteVirtual) this.#needsNewConnection(state);",
    to: "",
  },
  { name: "a statement that failed keeps its error", file: "connection.ts", from: "      this.#cache.delete(prepared.sql);\n", to: "" },
  {
    name: "the largest rowid is stored in an entry alone",
    file: "entry-runner.ts",
    from: 'if ((flags & FLAG_ROWID_MAX) !== 0) throw new Broken({ kind: "ended", unit, text: ROWID_TEXT });',
    to: "",
  },
  {
    name: "an own statement loses its mode",
    file: "connection.ts",
    from: 'return prepared.statement.run(...params);\n    } finally {\n      authorizer.mode = "own";',
    to: "return prepared.statement.run(...params);\n    } finally {",
  },
];

for (const plant of PLANTS) {
  test(`planted: ${plant.name}`, (context) => {
    const folder = temporaryFolder(context);
    for (const room of ["base", "host", "sql"]) cpSync(join(root, "src", room), join(folder, "src", room), { recursive: true });
    cpSync(join(root, "test/sql/support"), join(folder, "test/sql/support"), { recursive: true });
    mkdirSync(join(folder, "dist"));
    symlinkSync(join(root, "dist/native"), join(folder, "dist/native"));
    const file = join(folder, "src/sql", plant.file);
    const source = readFileSync(file, "utf8");
    assert.equal(source.split(plant.from).length, 2, "the line to be broken stands in the source once");
    writeFileSync(file, source.replace(plant.from, plant.to));
    const result = spawnSync(process.execPath, [join(folder, "test/sql/support/planted-child.ts")], { encoding: "utf8", timeout: 60_000 });
    assert.equal(result.status, 0, `not noticed\n${result.stdout}\n${result.stderr}`);
  });
}
