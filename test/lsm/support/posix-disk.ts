/**
 * A short life's store in files: src/host/local-store as production runs it, byte for byte, on a simulated machine. Its modules are loaded
 * anew for each process, with posix-fs.ts in the place of node's modules and the world's time in the place of Date.
 *
 * Why so: what was written and not synced must be lost in a crash, by sectors and by names, and that no real file system does on demand;
 * and a process must die at a given call, which a signal from outside cannot do. In return the kernel's own behaviour is an assumption: that of
 * SimDisk, which is harsher (any subset of unsynced names and sectors, in any order). The suites of test/host run the same code on real files.
 */
import { registerHooks } from "node:module";
import { seededRandom, type HostCodecs, type ObjectStore, type Random } from "../../../src/base/mod.ts";
import { liveShortly, SimDisk, SimPosix, type ShortLifeDisk } from "../../../src/sim/mod.ts";
import { posixWorlds } from "./posix-worlds.ts";

const STORE = new URL("../../../src/host/local-store/local-object-store.ts", import.meta.url).href;
const FILES = new URL("posix-fs.ts", import.meta.url).href;
const ROOM = STORE.slice(0, STORE.lastIndexOf("/") + 1);

let worlds = 0;
let isHooked = false;

/** What is loaded from inside the room belongs to the same process; its file calls are the machine's. */
function hook(): void {
  if (isHooked) return;
  isHooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      const parent = context.parentURL ?? "";
      const at = parent.indexOf("?world=");
      if (at === -1 || !parent.startsWith(ROOM)) return next(specifier, context);
      const query = parent.slice(at);
      if (specifier === "../built-ins.ts") return { url: FILES + query, format: "module-typescript", shortCircuit: true };
      const result = next(specifier, context);
      return result.url.startsWith(ROOM) ? { ...result, url: result.url + query } : result;
    },
  });
}

/** A machine whose store lies in files. `how`: what its processes die of. */
function fileShortLife(random: Random, how: "power" | "process"): ShortLifeDisk {
  hook();
  const id = String(++worlds);
  let machine: SimPosix | undefined;
  let processes = 0;
  return {
    async connect(world, point) {
      // The times of files are the world's; a test that loads this file does nothing else with them.
      Date.now = () => world.time.now();
      machine ??= new SimPosix(new SimDisk(random), () => world.time.now());
      posixWorlds.set(id, machine);
      const mine = machine;
      machine.start(point === undefined ? undefined : { ...point, how });
      const module = (await import(`${STORE}?world=${id}&process=${++processes}`)) as {
        LocalObjectStore: new (options: { root: string }) => ObjectStore;
      };
      if (!machine.isUsed)
        throw new Error("the local store would use the real file system: its file calls come in otherwise than this file thinks");
      const store = new module.LocalObjectStore({ root: "/simulated" });
      return { store, crashed: machine.crashed, crash: () => mine.die(), changeCount: () => mine.changes };
    },
    recover() {
      machine?.bury(how);
    },
  };
}

/** Each changing file call of the short life of `seed`, or each `stride`-th: a death before and after it, of the machine and of the process. */
export async function crashFilesEverywhere(
  seed: number,
  parts: { readonly hostCodecs?: HostCodecs | undefined; readonly stride: number; readonly first?: number },
): Promise<{ readonly lives: number; readonly calls: number; readonly checks: number }> {
  const { hostCodecs, stride, first } = parts;
  const { calls, checks } = await liveShortly(seed, undefined, { disk: () => fileShortLife(seededRandom(seed), "power"), hostCodecs });
  const totals = { lives: 1, calls, checks };
  const deaths = (["before", "after"] as const).flatMap((when) => (["power", "process"] as const).map((how) => ({ when, how })));
  for (let at = 1 + (first ?? 0); at <= calls; at += stride) {
    for (const [i, { when, how }] of deaths.entries()) {
      const random = seededRandom((seed * 100_000 + at) * 4 + i);
      const report = await liveShortly(seed, { at, when }, { disk: () => fileShortLife(random, how), hostCodecs });
      if (!report.isCrashed)
        throw new Error(`a life that is lived again comes to the same call: seed=${seed} at=${at} calls=${report.calls}`);
      totals.lives++;
      totals.checks += report.checks;
    }
  }
  return totals;
}
