/** The program pumice. As pumiced: the check of Node first, the rest by a dynamic import. */
import { prepareRuntime } from "./runtime.ts";

if (prepareRuntime("pumice")) {
  const { runPumice } = await import("./pumice-main.ts");
  await runPumice(process.argv.slice(2));
}
