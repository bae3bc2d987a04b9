/** The simulated groups: what src/sim/mod.ts gives out of them. */
export { checkLinearizable, checkLinearizableByKey, REGISTER } from "../check/linearizability.ts";
export type { Operation, RegisterInput } from "../check/linearizability.ts";
export { runSeed } from "./swarm.ts";
export type { RunOptions, RunResult } from "./swarm.ts";
export { SCENARIOS } from "./scenarios.ts";
export type { ScenarioName } from "./scenarios.ts";
export type { WorldLine } from "./world.ts";
export { tlaLine } from "./tla.ts";
