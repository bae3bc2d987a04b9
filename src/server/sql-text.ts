/** What the server can tell from SQL text at sight. */
import { skipBlankSql } from "../sql/mod.ts";

const WRITES = /(?:insert|update|delete|replace|create|drop|alter)\b/iy;

/** True if the first statement begins with a word that only writes begin with. False says nothing. */
export function surelyWrites(sql: string): boolean {
  WRITES.lastIndex = skipBlankSql(sql);
  return WRITES.test(sql);
}
