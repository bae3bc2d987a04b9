/**
 * Random work over everything that both engines know: keys of any bytes and up to the longest, values of no bytes to several MiB, deletions,
 * merges, rows that expire far away and rows that expire at once, batches. The model beside it says what must be there.
 */
import { concat, equalBytes, seededRandom, toHex, type Random } from "../../../src/base/mod.ts";
import { WriteBatch, type Db } from "../../../src/lsm/mod.ts";
import { bytes, Failure, fromHex, slate } from "./oracle.ts";

/** What must be in the store, by the hexadecimal form of the key. */
export type RichModel = Map<string, Uint8Array>;

interface Operation {
  readonly kind: "put" | "delete" | "merge";
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly ttlMs: number | undefined;
}

/** Rows with these keys expire as soon as they are there: until they are compacted away they may be seen. */
const FLEETING = "fleeting/";
const MIB = 1_048_576;

/** See the header of this file. */
export class RichWorkload {
  model: RichModel = new Map();
  readonly random: Random;
  private readonly keys: readonly Uint8Array[];
  private readonly fleeting = new Map<string, Uint8Array>();
  private readonly isSmall: boolean;

  /** `isSmall`: no value above 9,000 bytes but for one of 1.5 MiB, for a run that must be quick. */
  constructor(seed: number, isSmall = false) {
    this.isSmall = isSmall;
    this.random = seededRandom(seed);
    this.keys = this.makeKeys();
  }

  /** Does the batches by SlateDB; the last is durable when it returns, unless there is no WAL. */
  async byThem(db: slate.Db, batches: number, isWalled = true): Promise<void> {
    for (let i = 0; i < batches; i++) {
      const batch = new slate.WriteBatch();
      for (const { kind, key, value, ttlMs } of this.batch()) {
        const ttl = ttlMs === undefined ? slate.Ttl.NoExpiry() : slate.Ttl.ExpireAfterTicks(ttlMs);
        if (kind === "put") batch.put_with_options(key, value, { ttl });
        else if (kind === "delete") batch.delete(key);
        else batch.merge_with_options(key, value, { ttl });
      }
      await db.write_with_options(batch, { await_durable: isWalled && i === batches - 1 });
    }
  }

  /** Does the batches by us; the last is durable when it returns. */
  async byUs(db: Db, batches: number): Promise<void> {
    for (let i = 0; i < batches; i++) {
      const batch = new WriteBatch();
      for (const { kind, key, value, ttlMs } of this.batch()) {
        const ttl = ttlMs === undefined ? "never" : { afterMs: ttlMs };
        if (kind === "put") batch.put(key, value, { ttl });
        else if (kind === "delete") batch.delete(key);
        else batch.merge(key, value, { ttl });
      }
      await db.write(batch, { awaitDurable: i === batches - 1 });
    }
  }

  /** One value of several MiB. */
  large(): { key: Uint8Array; value: Uint8Array } {
    const value = new Uint8Array(this.isSmall ? 1.5 * MIB : 3 * MIB + this.random.below(2 * MIB));
    for (let i = 0; i < value.length; i += 97) value[i] = this.random.below(256);
    const key = bytes(`large/${this.random.below(2)}`);
    this.model.set(toHex(key), value);
    return { key, value };
  }

  below(bound: number): number {
    return this.random.below(bound);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)] as T;
  }

  /** Checks what a scan and gets of an engine say against a model. @throws Failure */
  async check(
    who: string,
    answers: { rows: AsyncIterable<{ key: Uint8Array; value: Uint8Array }>; get(key: Uint8Array): Promise<Uint8Array | undefined> },
    model: RichModel = this.model,
  ): Promise<void> {
    const missing = new Set(model.keys());
    for await (const { key, value } of answers.rows) {
      const id = toHex(key);
      const expected = model.get(id) ?? (startsWithFleeting(key) ? this.fleeting.get(id) : undefined);
      if (expected === undefined) throw new Failure(`${who}: a row of key ${id.slice(0, 60)} should not be there`);
      if (!equalBytes(expected, value))
        throw new Failure(`${who}: key ${id.slice(0, 60)} has ${value.length} bytes, expected ${expected.length}`);
      missing.delete(id);
    }
    for (const id of missing) throw new Failure(`${who}: no row of key ${id.slice(0, 60)}`);
    for (const key of this.keys) {
      const [found, expected] = [await answers.get(key), model.get(toHex(key))];
      const isSame = found === undefined || expected === undefined ? found === expected : equalBytes(found, expected);
      if (!isSame) throw new Failure(`${who}: get of ${toHex(key).slice(0, 60)} differs`);
    }
  }

  /** Whether SlateDB or we still show an expired row. */
  async showsFleeting(get: (key: Uint8Array) => Promise<Uint8Array | undefined>): Promise<boolean> {
    for (const id of this.fleeting.keys()) if ((await get(fromHex(id))) !== undefined) return true;
    return false;
  }

  /** How many rows were written that expire at once. */
  get fleetingRows(): number {
    return this.fleeting.size;
  }

  private makeKeys(): Uint8Array[] {
    const random = (length: number): Uint8Array => new Uint8Array(length).map(() => this.random.below(256));
    const longest = [0, 1].map((i) => new Uint8Array(65_535).fill(0x61 + i));
    const shared = random(3000);
    return [
      Uint8Array.of(0),
      Uint8Array.of(0, 0),
      new Uint8Array(40).fill(0xff),
      new Uint8Array(41).fill(0xff),
      ...longest,
      ...[1, 2, 3].map((i) => concat([shared, Uint8Array.of(i)])),
      ...Array.from({ length: 60 }, () => random(1 + this.random.below(40))),
      ...Array.from({ length: 120 }, (_, i) => bytes(`key-${String(i).padStart(4, "0")}`)),
    ];
  }

  private batch(): Operation[] {
    /** Keys that this batch puts with an expiry: SlateDB 0.12 loses merges onto them (a case of its own shows it). */
    const expiring = new Set<Uint8Array>();
    return Array.from({ length: 1 + this.random.below(12) }, () => {
      const roll = this.random.below(20);
      if (roll === 0) return this.fleetingPut();
      const key = this.pick(this.keys);
      // An expiry that differs between operands is kept apart by both engines, so merges have none.
      const kind = roll < 12 ? "put" : roll < 16 || expiring.has(key) ? "delete" : "merge";
      if (kind === "put" && roll < 4) expiring.add(key);
      const ttlMs = kind === "put" && roll < 4 ? 86_400_000 : undefined;
      const operation: Operation = { kind, key, value: this.value(kind), ttlMs };
      this.apply(operation);
      return operation;
    });
  }

  private fleetingPut(): Operation {
    const key = bytes(`${FLEETING}${this.fleeting.size}`);
    const value = bytes("soon gone");
    this.fleeting.set(toHex(key), value);
    return { kind: "put", key, value, ttlMs: 1 };
  }

  private value(kind: Operation["kind"]): Uint8Array {
    const roll = this.random.below(100);
    const most = kind === "merge" ? 20 : roll === 0 && !this.isSmall ? 300_000 : roll < 6 ? 9000 : roll < 15 ? 1 : 200;
    const value = new Uint8Array(this.random.below(most));
    // Half of the values are compressible.
    if (roll % 2 === 0) value.fill(1 + this.random.below(255));
    else for (let i = 0; i < value.length; i++) value[i] = this.random.below(256);
    return value;
  }

  private apply({ kind, key, value }: Operation): void {
    const id = toHex(key);
    if (kind === "put") this.model.set(id, value);
    else if (kind === "delete") this.model.delete(id);
    else this.model.set(id, concat([this.model.get(id) ?? new Uint8Array(0), value]));
  }
}

function startsWithFleeting(key: Uint8Array): boolean {
  return equalBytes(key.subarray(0, FLEETING.length), bytes(FLEETING));
}

/** The rows of a scan of SlateDB. */
export async function* theirScan(db: Pick<slate.Db, "scan">): AsyncGenerator<{ key: Uint8Array; value: Uint8Array }> {
  const scan = await db.scan({ start: undefined, start_inclusive: true, end: undefined, end_inclusive: false });
  for (let row = await scan.next(); row !== undefined; row = await scan.next()) yield row;
}
