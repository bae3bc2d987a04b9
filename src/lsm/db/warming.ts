/** The cache filled ahead of reads. */
import { abortable } from "../../base/mod.ts";
import { nothingLoaded, type Table } from "../store/tables.ts";
import type { View } from "./view.ts";

/** Bytes of blocks that are read with one request. */
const READ_BYTES = 1_048_576;

/** The tables of a view, newest first. */
export function tablesOf(view: Pick<View, "l0" | "runs">): Table[] {
  return [...view.l0, ...view.runs.flatMap((run) => run.tables)];
}

/** Loads indexes and filters, then blocks if asked to, until about `roomBytes` were read. @throws what reads throw */
export async function warmTables(
  view: Pick<View, "l0" | "runs">,
  how: { readonly what: "index" | "all"; readonly roomBytes: number; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const tables = tablesOf(view);
  let readBytes = 0;
  for (const table of tables) {
    const { info } = table.ref;
    readBytes += info.filterLength + info.indexLength;
    if (readBytes > how.roomBytes) return;
    await abortable(table.loadMeta(nothingLoaded()), how.signal);
  }
  if (how.what === "index") return;
  for (const table of tables) {
    const loaded = nothingLoaded();
    await abortable(table.loadMeta(loaded), how.signal);
    const { index } = table.metaNow(loaded) ?? { index: [] };
    for (let from = 0; from < index.length;) {
      const start = index[from]?.offset ?? 0;
      let to = from + 1;
      while (to < index.length && (index[to]?.offset ?? 0) - start < READ_BYTES) to++;
      const bytes = (index[to]?.offset ?? table.ref.info.filterOffset) - start;
      readBytes += bytes;
      if (readBytes > how.roomBytes) return;
      await abortable(table.loadBlocks({ from, to, isCached: true }, loaded), how.signal);
      loaded.blocks.clear();
      from = to;
    }
  }
}
