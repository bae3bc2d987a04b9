/**
 * Reading the WAL as a stream of changes: rows in the order in which they were committed, each with a token from which to go on later.
 * What is read must not have been collected: keep ahead of garbage collection, or hold a checkpoint.
 */
import { PumiceError } from "../../base/mod.ts";
import type { Row } from "../format/row.ts";
import { readWal } from "../format/sst-reader.ts";
import { idOf } from "../store/paths.ts";
import { withRetry } from "../store/retry.ts";
import { StoreContext } from "../engine/context.ts";
import { LSM_DEFAULTS, type LsmComponents, type WaitOptions } from "../engine/settings.ts";

/** Where a reader of the WAL stands: behind that many rows of that object. */
export interface WalToken {
  readonly walId: number;
  readonly rows: number;
}

/** A change. `kind` is 0 for a value, 1 for a deletion, 8 for a merge operand. */
export interface WalChange {
  readonly row: Row;
  /** Going on from here begins with the next change. */
  readonly token: WalToken;
}

/** An object of the WAL. */
export interface WalFile {
  readonly id: number;
  readonly sizeBytes: number;
  readonly lastModifiedMs: number;
}

/** How to follow the WAL. */
export interface FollowOptions {
  /** Begin behind this; undefined: with the oldest object there is. */
  readonly after?: WalToken | undefined;
  /** Wait this long before looking for the next object; undefined: end at the end. */
  readonly pollMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** See the header of this file. */
export class WalReader {
  readonly #context: StoreContext;

  constructor(root: string, components: LsmComponents) {
    this.#context = StoreContext.of(root, components, LSM_DEFAULTS);
  }

  /** Objects with ids [start, end), ascending. */
  async list(start = 0, end = Infinity, options: WaitOptions = {}): Promise<WalFile[]> {
    const { readPolicy, walStore, paths, signal } = this.#context.scoped(options.signal);
    return await withRetry(readPolicy, async () => {
      const files: WalFile[] = [];
      const startAfter = start > 0 ? paths.wal(start - 1) : undefined;
      for await (const meta of walStore.list(paths.wals, { startAfter, signal })) {
        const id = idOf(meta.key, ".sst");
        if (id !== undefined && id >= start && id < end) files.push({ id, sizeBytes: meta.sizeBytes, lastModifiedMs: meta.lastModifiedMs });
      }
      return files;
    });
  }

  /** Rows of an object, in order; undefined if it is not there. @throws LSM_CORRUPT */
  async read(id: number, options: WaitOptions = {}): Promise<Row[] | undefined> {
    const { readPolicy, walStore, paths, signal } = this.#context.scoped(options.signal);
    const key = paths.wal(id);
    const bytes = await withRetry(readPolicy, async () => await walStore.get(key, { signal }));
    return bytes === undefined ? undefined : readWal(bytes, key, this.#context.sealer);
  }

  /** All changes from a token on, for ever if `pollMs` is given. @throws LSM_MISSING if the object to go on with was collected */
  async *follow(options: FollowOptions = {}): AsyncGenerator<WalChange> {
    let { walId, rows: skip } = options.after ?? { walId: (await this.list(0, Infinity, options))[0]?.id ?? 1, rows: 0 };
    for (;;) {
      options.signal?.throwIfAborted();
      const rows = await this.read(walId, options);
      if (rows === undefined) {
        const later = await this.list(walId + 1, Infinity, options);
        // The object may have come between the two looks.
        if (later.length > 0 && (await this.read(walId, options)) === undefined) {
          throw new PumiceError("LSM_MISSING", { object: this.#context.paths.wal(walId), what: "the WAL was collected beyond this point" });
        }
        if (later.length > 0) continue;
        if (options.pollMs === undefined) return;
        await this.#context.clock.sleep(options.pollMs, { signal: options.signal });
        continue;
      }
      for (let i = skip; i < rows.length; i++) yield { row: rows[i] as Row, token: { walId, rows: i + 1 } };
      walId++;
      skip = 0;
    }
  }
}
