/** Names of a store's objects. FROZEN: SlateDB's layout. Ids are decimal, 20 digits. */
import type { Ulid } from "../format/identifiers.ts";

const ID_DIGITS = 20;

/** Names under one root. */
export interface Paths {
  readonly root: string;
  readonly manifests: string;
  readonly compactions: string;
  readonly wals: string;
  readonly ssts: string;
  manifest(id: number): string;
  compaction(id: number): string;
  wal(id: number): string;
  sst(id: Ulid): string;
  /** Inclusive id up to which objects of that kind may have been deleted, in SlateDB 0.14 and later. */
  boundary(kind: "manifest" | "compactions"): string;
}

/** The names under `root`, which has no slash at its end; an empty root is the store's own. */
export function pathsOf(root: string): Paths {
  const base = root === "" ? "" : `${root.replaceAll(/^\/+|\/+$/g, "")}/`;
  const padded = (id: number): string => String(id).padStart(ID_DIGITS, "0");
  return {
    root,
    manifests: `${base}manifest/`,
    compactions: `${base}compactions/`,
    wals: `${base}wal/`,
    ssts: `${base}compacted/`,
    manifest: (id) => `${base}manifest/${padded(id)}.manifest`,
    compaction: (id) => `${base}compactions/${padded(id)}.compactions`,
    wal: (id) => `${base}wal/${padded(id)}.sst`,
    sst: (id) => `${base}compacted/${id}.sst`,
    boundary: (kind) => `${base}gc/${kind}.boundary`,
  };
}

/** The id in the name of a manifest, compactions file or WAL object; undefined if the name is not of that form. */
export function idOf(key: string, suffix: string): number | undefined {
  const name = key.slice(key.lastIndexOf("/") + 1);
  if (!name.endsWith(suffix)) return undefined;
  const stem = name.slice(0, -suffix.length);
  if (!/^\d{20}$/.test(stem)) return undefined;
  const id = Number(stem);
  return Number.isSafeInteger(id) ? id : undefined;
}
