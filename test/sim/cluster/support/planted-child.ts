/**
 * Run over a copy of the sources in which one rule is broken (planted-bugs.test.ts): lives the lives of the seeds on the command line until one
 * fails. Status 0: the nets noticed.
 */
import { liveOnce, optionsOf } from "./lives.ts";

for (const seed of process.argv.slice(2).map(Number)) {
  try {
    await liveOnce(optionsOf(seed));
  } catch (error) {
    console.log(`seed ${seed}: ${String(error)}`);
    process.exit(0);
  }
}
process.exit(1);
