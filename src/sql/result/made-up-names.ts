/**
 * Names of columns that SQLite makes up. The second to fifth column of one name are called `a:1` to `a:4`; from the sixth on SQLite adds a number of its own
 * random generator, which no seed of ours reaches: another one on each node.
 */

/** Columns of one name that get names alike on every node. */
const COUNTED = 4;

/** So many columns have no such name yet. */
export const MADE_UP_FROM = COUNTED + 1;

/** The first name that may be another one on another node; undefined if there is none. */
export function findMadeUpName(names: readonly string[]): string | undefined {
  if (names.length <= MADE_UP_FROM) return undefined;
  const all = new Set(names.map((name) => name.toLowerCase()));
  return names.find((name) => {
    const stem = /^(.*):\d+$/s.exec(name.toLowerCase())?.[1];
    if (stem === undefined || !all.has(stem)) return false;
    for (let i = 1; i <= COUNTED; i++) if (!all.has(`${stem}:${i}`) || name.toLowerCase() === `${stem}:${i}`) return false;
    return true;
  });
}

/** The error of a write that would store or tell such a name. */
export function madeUpText(name: string): string {
  return `more than ${COUNTED + 1} columns are called ${name.slice(0, name.lastIndexOf(":"))}: SQLite would name the others at random; name them with AS`;
}
