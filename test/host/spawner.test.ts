import { threadSpawner } from "../../src/host/mod.ts";
import { conformanceWorkers, spawnerConformance } from "../base/spawner-conformance.ts";

const entry = new URL("./support/conformance-worker.ts", import.meta.url);

spawnerConformance("threads", () => threadSpawner(new Map([...conformanceWorkers.keys()].map((name) => [name, entry]))));
