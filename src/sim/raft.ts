/** The simulated groups: what src/sim/mod.ts gives out of them. */
export { checkLinearizable, checkLinearizableByKey, REGISTER } from "./linearizability.ts";
export type { Operation, RegisterInput, SequentialModel, Verdict } from "./linearizability.ts";
export { InvariantViolation } from "./raft-oracle.ts";
export { healAndConverge, runSeed } from "./raft-swarm.ts";
export type { RunOptions, RunResult } from "./raft-swarm.ts";
export { SCENARIOS } from "./raft-scenarios.ts";
export type { ScenarioName } from "./raft-scenarios.ts";
export { RaftWorld } from "./raft-world.ts";
export type { WorldLine, WorldSettings } from "./raft-world.ts";
export { tlaLine } from "./raft-tla.ts";
