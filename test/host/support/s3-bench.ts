/** An S3 store over a fake server, with a clock that does not let anybody wait. */
import type { Clock } from "../../../src/base/mod.ts";
import type { S3ObjectStoreOptions } from "../../../src/host/s3/options.ts";
import { S3ObjectStore } from "../../../src/host/s3/s3-object-store.ts";
import { FakeS3 } from "./fake-s3.ts";

/** Waits no time, but counts it. */
export class HastyClock implements Clock {
  sleptMs: number[] = [];
  now(): number {
    return Date.now();
  }
  monotonic(): number {
    return performance.now();
  }
  async sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    options?.signal?.throwIfAborted();
    this.sleptMs.push(ms);
    await new Promise(setImmediate);
  }
}

/** Store, server, clock; disposed together. */
export interface Bench extends AsyncDisposable {
  readonly fake: FakeS3;
  readonly store: S3ObjectStore;
  readonly clock: HastyClock;
}

/** Opens them. */
export async function bench(more: Partial<S3ObjectStoreOptions> = {}): Promise<Bench> {
  const fake = new FakeS3();
  const endpoint = await fake.start();
  const clock = new HastyClock();
  const store = new S3ObjectStore({ bucket: FakeS3.bucket, endpoint, credentials: fake.credentials, clock, ...more });
  return {
    fake,
    store,
    clock,
    async [Symbol.asyncDispose]() {
      await store.close();
      await fake.stop();
    },
  };
}
