import { MemoryObjectStore } from "../../src/base/mod.ts";
import { objectStoreConformance } from "./object-store-conformance.ts";

objectStoreConformance("memory", async () => ({ store: new MemoryObjectStore({ clock: Date }) }));
