/** base: words, bytes, assertions, errors, and the interfaces to the world. Imports nothing. */
export * from "./abort.ts";
export * from "./assert.ts";
export * from "./bytes.ts";
export * from "./clock.ts";
export * from "./codec.ts";
export * from "./crc32.ts";
export * from "./duration.ts";
export * from "./errors.ts";
export * from "./file-system.ts";
export * from "./memory-object-store.ts";
export * from "./numbers.ts";
export * from "./object-key.ts";
export * from "./object-store.ts";
export * from "./random.ts";
export * from "./seeded-random.ts";
export * from "./spawner.ts";
export * from "./transport.ts";
