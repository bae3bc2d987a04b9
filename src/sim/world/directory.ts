/** A simulated folder: the names as the process sees them, those that are durable, and what each was in between. */
import type { Random } from "../../base/mod.ts";
import { choose, type SimFile } from "./file.ts";

/** What a name stands for. */
export type SimNode = SimFile | SimDirectory | SimLink;

/** A name that holds a text, made and removed whole. */
export class SimLink {
  readonly kind = "link";
  readonly target: string;

  constructor(target: string) {
    this.target = target;
  }
}

/** One folder. */
export class SimDirectory {
  readonly kind = "directory";
  #names = new Map<string, SimNode>();
  #durable = new Map<string, SimNode>();
  /** Name -> what it stood for since the last sync, oldest first; "absent" where it stood for nothing. */
  readonly #versions = new Map<string, (SimNode | "absent")[]>();

  get(name: string): SimNode | undefined {
    return this.#names.get(name);
  }

  /** Sorted by code unit. */
  names(): string[] {
    return [...this.#names.keys()].sort();
  }

  nodes(): Iterable<SimNode> {
    return this.#names.values();
  }

  set(name: string, node: SimNode | undefined): void {
    if (node === undefined) this.#names.delete(name);
    else this.#names.set(name, node);
    const versions = this.#versions.get(name) ?? [];
    versions.push(node ?? "absent");
    this.#versions.set(name, versions);
  }

  sync(): void {
    this.#durable = new Map(this.#names);
    this.#versions.clear();
  }

  /** Each changed name stands, by itself, for what it did at some time since the last sync: a rename may happen by halves. */
  crash(random: Random, keepPerMille: number): void {
    for (const [name, versions] of this.#versions) {
      const kept = choose(random, versions, keepPerMille);
      if (kept === "absent") this.#durable.delete(name);
      else if (kept !== undefined) this.#durable.set(name, kept);
    }
    this.#versions.clear();
    this.#names = new Map(this.#durable);
    for (const node of new Set(this.#names.values())) if (node.kind !== "link") node.crash(random, keepPerMille);
  }
}
