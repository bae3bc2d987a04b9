/** lsm: the storage engine on object storage, in SlateDB's files. See ARCHITECTURE.md, sections 1 and 5. */
export * from "./format/manifest.ts";
