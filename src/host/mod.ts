/** host: the real world. Clock, randomness, files, worker threads: Node's, behind base's interfaces. */
export * from "./clock.ts";
export * from "./codec.ts";
export * from "./file-system.ts";
export * from "./local-store/local-object-store.ts";
export * from "./random.ts";
export * from "./spawner.ts";
