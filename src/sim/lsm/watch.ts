/** Stands before the store and checks, at each change, what must hold of every manifest that was ever in force. */
import { assert, type MemoryObjectStore, type ObjectStore } from "../../base/mod.ts";
import { allSsts, decodeManifest, type Manifest } from "../../lsm/mod.ts";
import { interceptStore } from "../world/object-store/intercept.ts";

/** `store`, watched. @throws AssertionError into the world, by `onViolation`, when an invariant breaks */
export function watchedStore(store: MemoryObjectStore, root: string, onViolation: (error: unknown) => void): ObjectStore {
  const watch = new Watch(store, root);
  return interceptStore(store, async (call, run) => {
    if (call.operation === "delete") await guard(onViolation, async () => await watch.beforeDelete(call.key));
    const result = await run();
    if (call.operation === "putIf" && call.key.startsWith(`${root}/manifest/`))
      await guard(onViolation, async () => await watch.afterManifest(call.key));
    return result;
  });
}

async function guard(onViolation: (error: unknown) => void, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    onViolation(error);
  }
}

class Watch {
  readonly #store: MemoryObjectStore;
  readonly #root: string;
  #latest: Manifest | undefined;
  #latestKey = "";
  readonly #byKey = new Map<string, Manifest>();

  constructor(store: MemoryObjectStore, root: string) {
    this.#store = store;
    this.#root = root;
  }

  async afterManifest(key: string): Promise<void> {
    if (this.#byKey.has(key)) return;
    const bytes = await this.#store.get(key);
    if (bytes === undefined) return;
    const manifest = decodeManifest(bytes, key);
    this.#byKey.set(key, manifest);
    const previous = this.#latest;
    // A put that was long on its way, to an id that was collected meanwhile: nobody reads it. If its process thinks otherwise, the model shows it.
    if (key < this.#latestKey) return;
    this.#latest = manifest;
    this.#latestKey = key;
    if (previous !== undefined) {
      assert(manifest.writerEpoch >= previous.writerEpoch, "the writer's epoch never goes back");
      assert(manifest.compactorEpoch >= previous.compactorEpoch, "the compactor's epoch never goes back");
      assert(manifest.lastL0ClockTick >= previous.lastL0ClockTick, "the clock tick never goes back");
      assert(manifest.lastL0Seq >= previous.lastL0Seq, "the last sequence number in L0 never goes back");
      assert(manifest.replayAfterWalId >= previous.replayAfterWalId, "the replay point never goes back");
      assert(
        manifest.lastL0Seq !== previous.lastL0Seq || manifest.lastL0ClockTick === previous.lastL0ClockTick,
        "the clock tick moves only with L0",
      );
    }
    for (const sst of allSsts(manifest)) {
      assert((await this.#store.head(`${this.#root}/compacted/${sst.id}.sst`)) !== undefined, "a manifest names only SSTs that exist");
    }
  }

  async beforeDelete(key: string): Promise<void> {
    const latest = this.#latest;
    if (latest === undefined) return;
    const kept = [latest];
    for (const checkpoint of latest.checkpoints) {
      const manifestKey = `${this.#root}/manifest/${String(checkpoint.manifestId).padStart(20, "0")}.manifest`;
      assert(key !== manifestKey, "the manifest of a checkpoint is not deleted");
      const manifest = this.#byKey.get(manifestKey);
      if (manifest !== undefined) kept.push(manifest);
    }
    assert(key !== this.#latestKey, "the manifest in force is not deleted");
    for (const manifest of kept) {
      for (const sst of allSsts(manifest)) assert(key !== `${this.#root}/compacted/${sst.id}.sst`, "an SST in use is not deleted");
    }
    for (let id = latest.replayAfterWalId + 1; id <= latest.walIdLastSeen; id++) {
      assert(key !== `${this.#root}/wal/${String(id).padStart(20, "0")}.sst`, "a WAL object that may be replayed is not deleted");
    }
  }
}
