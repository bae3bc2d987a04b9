/**
 * Prepared statements by their text, bounded: two generations of a Map. A hit in the old one moves the statement to the young one; when
 * the young one is full it becomes the old one. What is dropped is finalized by the garbage collector, which node:sqlite leaves it to.
 */
import type { Prepared } from "./prepared.ts";

/** Statements per generation. */
const GENERATION_SIZE = 1024;
/** Longer texts are seldom seen twice. Unit: UTF-16 code units. */
const TEXT_LENGTH_MAX = 64 * 1024;

/** A bounded cache. */
export class StatementCache {
  #young = new Map<string, Prepared>();
  #old = new Map<string, Prepared>();

  get(sql: string): Prepared | undefined {
    const found = this.#young.get(sql);
    if (found !== undefined) return found;
    const older = this.#old.get(sql);
    if (older !== undefined) this.set(sql, older);
    return older;
  }

  set(sql: string, prepared: Prepared): void {
    if (sql.length > TEXT_LENGTH_MAX) return;
    if (this.#young.size >= GENERATION_SIZE) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(sql, prepared);
  }

  delete(sql: string): void {
    this.#young.delete(sql);
    this.#old.delete(sql);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}
