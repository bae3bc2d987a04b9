/** The composition root of tools that work on an LSM store: the machine's clock, randomness, checksums and codecs, and a store by its address. */
import { hostCodecs, nodeCrc32, openObjectStore, systemClock, systemRandom, type ObjectStoreSettings } from "../host/mod.ts";
import type { LsmComponents } from "../lsm/mod.ts";

/** A store for a tool. */
export interface LsmTarget {
  readonly components: LsmComponents;
  /** The database's place in the object store. */
  readonly root: string;
  /** What to call it in messages; without secrets. */
  readonly address: string;
  close(): Promise<void>;
}

/** Opens the object store of that address; the database is at `root` in it, or where the address points. @throws STORE_URL */
export function openLsmTarget(address: string, settings: ObjectStoreSettings, root?: string): LsmTarget {
  const opened = openObjectStore(address, settings);
  const components = {
    store: opened.store,
    clock: systemClock,
    random: systemRandom,
    crc32: nodeCrc32,
    hostCodecs,
  };
  const place = [opened.path, root ?? ""].filter((part) => part !== "").join("/");
  return { components, root: place, address: root === undefined ? opened.address : `${opened.address} (${root})`, close: opened.close };
}
