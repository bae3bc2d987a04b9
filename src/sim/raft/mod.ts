/** The simulated groups: what src/sim/mod.ts gives out of them. */
export { checkLinearizable, checkLinearizableByKey, REGISTER } from "../check/linearizability.ts";
export type { Operation, RegisterInput, SequentialModel, Verdict } from "../check/linearizability.ts";
export { InvariantViolation } from "./oracle.ts";
export { healAndConverge, runSeed } from "./swarm.ts";
export type { RunOptions, RunResult } from "./swarm.ts";
export { SCENARIOS } from "./scenarios.ts";
export type { ScenarioName } from "./scenarios.ts";
export { RaftWorld } from "./world.ts";
export type { WorldLine, WorldSettings } from "./world.ts";
export { tlaLine } from "./tla.ts";
