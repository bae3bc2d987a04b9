/** Random work that both engines can do, and the model that says what must come of it. */
import { seededRandom, toHex, type Random } from "../../../src/base/mod.ts";
import { WriteBatch, type Db } from "../../../src/lsm/mod.ts";
import { bytes, slate } from "./oracle.ts";

/** What must be in the store: hex of key to hex of value. */
export type Model = Map<string, string>;

interface Operation {
  readonly kind: "put" | "delete" | "merge";
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Makes batches of operations and keeps the model. */
export class Workload {
  readonly model: Model = new Map();
  private readonly random: Random;
  private readonly keys: number;

  constructor(seed: number, keys: number) {
    this.random = seededRandom(seed);
    this.keys = keys;
  }

  /** Does `batches` batches by SlateDB. */
  async byThem(db: slate.Db, batches: number): Promise<void> {
    for (let i = 0; i < batches; i++) {
      const batch = new slate.WriteBatch();
      for (const { kind, key, value } of this.batch()) {
        if (kind === "put") batch.put(key, value);
        else if (kind === "delete") batch.delete(key);
        else batch.merge(key, value);
      }
      await db.write_with_options(batch, { await_durable: i === batches - 1 });
    }
  }

  /** Does `batches` batches by us. */
  async byUs(db: Db, batches: number): Promise<void> {
    for (let i = 0; i < batches; i++) {
      const batch = new WriteBatch();
      for (const { kind, key, value } of this.batch()) {
        if (kind === "put") batch.put(key, value);
        else if (kind === "delete") batch.delete(key);
        else batch.merge(key, value);
      }
      await db.write(batch, { awaitDurable: i === batches - 1 });
    }
  }

  /** A number below `bound`, for choices of the case. */
  below(bound: number): number {
    return this.random.below(bound);
  }

  private batch(): Operation[] {
    return Array.from({ length: 1 + this.random.below(20) }, () => {
      const key = bytes(`key-${"x".repeat(this.random.below(3))}-${String(this.random.below(this.keys)).padStart(6, "0")}`);
      const roll = this.random.below(10);
      const operation: Operation = { kind: roll < 6 ? "put" : roll < 8 ? "delete" : "merge", key, value: this.value() };
      this.apply(operation);
      return operation;
    });
  }

  private value(): Uint8Array {
    const roll = this.random.below(100);
    const value = new Uint8Array(roll === 0 ? 50_000 : roll < 10 ? 0 : this.random.below(200));
    // Half of the values are compressible.
    if (roll % 2 === 0) fillRandomly(value, this.random);
    else value.fill(1 + this.random.below(255));
    return value;
  }

  private apply({ kind, key, value }: Operation): void {
    const id = toHex(key);
    if (kind === "put") this.model.set(id, toHex(value));
    else if (kind === "delete") this.model.delete(id);
    else this.model.set(id, (this.model.get(id) ?? "") + toHex(value));
  }
}

function fillRandomly(target: Uint8Array, random: Random): void {
  for (let i = 0; i < target.length; i++) target[i] = random.below(256);
}
