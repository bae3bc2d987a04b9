/** The production replica in the simulated world. */
export { live, type LifeOptions, type LifeParts, type LifeReport } from "./life.ts";
export { type Death, type SqliteDisk } from "./machine.ts";
