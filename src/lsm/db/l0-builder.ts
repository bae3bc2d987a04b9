/** What a flush makes of a memtable: an SST, in memory. */
import { ALL_KEYS } from "../format/key-range.ts";
import { MERGE, type Row } from "../format/row.ts";
import { expectedBytes, SstWriter, type BuiltSst, type SstSettings } from "../format/sst-writer.ts";
import type { StoreContext } from "../engine/context.ts";
import { retentionTick } from "../engine/present.ts";
import { isSameKey } from "../engine/merge-operator.ts";
import type { Memtable } from "./memtable.ts";
import { Pace } from "../engine/pace.ts";
import { retain, type RetentionRules } from "../engine/retention.ts";

/** What a flush reads. */
export interface L0Source {
  readonly memtable: Memtable;
  readonly minReadSeq: number | undefined;
  /** Hears what the merge operator failed of, if it did: operands that it could not merge stay as they are, for reads and compactions to try. */
  onMergeFailure(error: unknown): void;
}

/** Builds it in short pieces, so that others get their turn. Readers at `minReadSeq` and above see the same in it. @throws the abort's reason */
export async function buildL0(context: StoreContext, settings: SstSettings, from: L0Source): Promise<BuiltSst> {
  const { memtable, minReadSeq: minSeq = memtable.lastSeq } = from;
  const rules: RetentionRules = {
    minSeq,
    tick: retentionTick(memtable.lastTick, context.clock.now()),
    isBottom: false,
    operator: context.shared.operators.flush,
  };
  const memory = new Uint8Array(expectedBytes(memtable.newestBytes));
  const writer = new SstWriter("compacted", { ...settings, memory }, context.sealer);
  const cursor = memtable.cursor(ALL_KEYS, "ascending");
  const pace = new Pace(context.clock, context.signal);
  let newest: Row | undefined;
  /** All versions of the newest's key that may be seen; empty if that is only the newest. */
  let versions: Row[] = [];
  for (;;) {
    if (pace.due()) await pace.rest();
    cursor.next();
    const { row } = cursor;
    if (newest !== undefined && row !== undefined && isSameKey(newest, row)) {
      // Of most keys everybody sees only the newest version: the others cost nothing.
      if (versions.length === 0 && hidesOlder(newest, minSeq)) continue;
      if (versions.length === 0) versions.push(newest);
      versions.push(row);
      continue;
    }
    if (versions.length > 0) for (const kept of retained(versions, rules, from)) writer.add(kept);
    else if (newest?.expireTs !== undefined) for (const kept of retained([newest], rules, from)) writer.add(kept);
    else if (newest !== undefined) writer.add(newest);
    if (row === undefined) return writer.finish();
    newest = row;
    if (versions.length > 0) versions = [];
  }
}

/** What is kept of the versions of a key. A user's function that fails is no reason not to make writes safe. */
function retained(versions: readonly Row[], rules: RetentionRules, from: L0Source): Row[] {
  try {
    return retain(versions, rules);
  } catch (error) {
    if (rules.operator === undefined) throw error;
    from.onMergeFailure(error);
    return retain(versions, { ...rules, operator: undefined });
  }
}

/** True if no reader can see an older version of the row's key. */
function hidesOlder(row: Row, minSeq: number): boolean {
  return row.seq <= minSeq && row.kind !== MERGE;
}
