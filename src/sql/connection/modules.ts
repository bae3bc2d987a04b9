/** Virtual tables by their module: those are allowed whose content is a function of what was written to them. */
import { skipSpace } from "../command/blank.ts";
import { tokenEnd, unquoted } from "./tokens.ts";

const MODULES = new Set(["fts3", "fts4", "fts5", "fts5vocab", "fts4aux", "fts3tokenize", "rtree", "rtree_i32", "geopoly"]);

/** True if tables of the module may stand in the database. */
export function isModuleAllowed(module: string): boolean {
  return MODULES.has(module.toLowerCase());
}

/** What is said of another module. */
export function moduleText(module: string): string {
  return `virtual tables of module ${module} are not allowed: their content is not the same on every node`;
}

/** The module that a CREATE VIRTUAL TABLE names, without its quotes; empty if it names none. */
export function moduleOf(sql: string): string {
  let isNext = false;
  for (let i = skipSpace(sql, 0); i < sql.length;) {
    const end = tokenEnd(sql, i);
    const token = sql.slice(i, end);
    if (isNext) return unquoted(token);
    isNext = token.toLowerCase() === "using";
    i = skipSpace(sql, end);
  }
  return "";
}
