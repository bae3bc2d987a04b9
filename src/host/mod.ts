/** host: the real world. Clock, randomness, files, worker threads: Node's, behind base's interfaces. */
export * from "./clock.ts";
export * from "./codec.ts";
export * from "./file-system.ts";
export * from "./local-store/local-object-store.ts";
export * from "./object-cache/caching-object-store.ts";
export { DiskCache, type DiskCacheOptions, type DiskCacheStats } from "./object-cache/disk-cache.ts";
export * from "./open-object-store.ts";
export * from "./random.ts";
export { s3FromEnvironment, type IfMatchStyle, type S3CredentialsProvider, type S3ObjectStoreOptions } from "./s3/options.ts";
export * from "./s3/s3-object-store.ts";
export type { S3Counters } from "./s3/client.ts";
export type { S3Credentials } from "./s3/sigv4.ts";
export * from "./spawner.ts";
