/**
 * Plants each known bug in a copy of the storage engine and asks each of its nets, which must catch it alone. Prints the life or the test that did.
 * `npm run mutants:lsm -- [ID...] [--seconds N] [--net NET]`: N seconds of processor time for each net that lives
 * lives; NET in the place of the table's.
 */
import { parseArgs } from "node:util";
import { MUTANTS, type LsmBug, type Net } from "../lsm/mutants/mutants.ts";
import type { Finding } from "../lsm/support/mutant-nets.ts";
import { BugLab, chosen, reportEach, type PlantedBug } from "../support/planted-bugs.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "30" }, net: { type: "string", multiple: true } },
});
const seconds = Number(values.seconds);
const bugs = chosen(MUTANTS, positionals);
const netsOf = (bug: LsmBug): readonly Net[] => (values.net as Net[] | undefined) ?? bug.nets;
using lab = new BugLab(["src", "test/lsm", "test/support", "docs", "scripts", "package.json"]);

/** What that net finds; undefined if nothing. */
function ask(net: Net, limit: number, bug?: PlantedBug): Finding | undefined {
  const { stdout, stderr, status } = lab.run(bug, ["test/lsm/support/mutant-nets.ts", net, String(limit)], (limit * 4 + 200) * 1000);
  if (status === undefined) return { reason: "it hangs" };
  const line = stdout.trim().split("\n").at(-1) ?? "";
  if (!line.startsWith("{")) return { reason: `the process ended: ${/^\w*Error.*$/m.exec(stderr)?.[0] ?? ""}` };
  const found = JSON.parse(line) as Partial<Finding>;
  return found.reason === undefined ? undefined : (found as Finding);
}

function inWords(net: Net, found: Finding | undefined): string {
  if (found === undefined) return `${net}: nothing`;
  return `${net}${found.seed === undefined ? "" : `, seed ${found.seed}`}: ${found.reason}`;
}

for (const net of new Set(bugs.flatMap(netsOf))) {
  const found = ask(net, 5);
  if (found !== undefined) throw new Error(`without a bug, ${inWords(net, found)}`);
}
const survivors = await reportEach(bugs, (bug) => {
  const answers = netsOf(bug).map((net) => [net, ask(net, seconds, bug)] as const);
  return { isCaught: answers.every(([, found]) => found !== undefined), nets: answers.map(([net, found]) => inWords(net, found)) };
});
process.exitCode = survivors === 0 ? 0 : 1;
