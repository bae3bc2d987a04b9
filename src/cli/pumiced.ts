/**
 * The program pumiced. Imports nothing that an old Node can't read, so that the refusal is one clear line; the rest comes by
 * a dynamic import.
 */
import { prepareRuntime } from "./runtime.ts";

if (prepareRuntime("pumiced")) {
  const { runPumiced } = await import("./pumiced-main.ts");
  await runPumiced(process.argv.slice(2));
}
