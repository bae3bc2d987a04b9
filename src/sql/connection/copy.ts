/** Copies of whole database files. */
import { DatabaseSync } from "node:sqlite";

/** Copies a whole database page by page, in one transaction of the target. Both are URIs. @throws SQLite's errors */
export function copyDatabase(extensionPath: string, source: string, target: string): void {
  const memory = new DatabaseSync(":memory:", { allowExtension: true });
  try {
    memory.loadExtension(extensionPath);
    memory.prepare("SELECT pumice_copy(?, ?)").get(source, target);
  } finally {
    memory.close();
  }
}
