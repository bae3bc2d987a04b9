/**
 * A program's own functions as a module: a function cannot be sent to another thread, the URL of its module can. So the thread that compacts
 * loads the same ones.
 */
import { PumiceError } from "../base/mod.ts";
import type { LsmComponents } from "../lsm/mod.ts";

/** What such a module may export. */
export type LsmFunctions = Pick<LsmComponents, "mergeOperator" | "blockTransformer" | "compactionFilter">;

/** The exports that are looked at. */
export const FUNCTION_NAMES = ["mergeOperator", "blockTransformer", "compactionFilter"] as const satisfies readonly (keyof LsmFunctions)[];

/** Loads the functions of a module. @throws LSM_INVALID if it cannot be loaded, or exports none of them, or something else by their name */
export async function loadFunctions(url: string): Promise<LsmFunctions> {
  const fault = (because: string, cause?: unknown): PumiceError =>
    new PumiceError("LSM_INVALID", { what: "functions cannot be used", url, because }, cause);
  if (!URL.canParse(url)) throw fault('it is no URL; say new URL("./functions.js", import.meta.url)');
  let exported: Partial<Record<string, unknown>>;
  try {
    exported = (await import(url)) as Partial<Record<string, unknown>>;
  } catch (error) {
    throw fault(`its import fails: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  const { mergeOperator, blockTransformer, compactionFilter } = exported;
  const has = (value: unknown, ...methods: string[]): boolean =>
    methods.every((name) => typeof (value as Partial<Record<string, unknown>> | null)?.[name] === "function");
  if (mergeOperator !== undefined && !has(mergeOperator, "merge")) throw fault("its mergeOperator has no method merge");
  if (blockTransformer !== undefined && !has(blockTransformer, "encode", "decode"))
    throw fault("its blockTransformer has no methods encode and decode");
  if (compactionFilter !== undefined && typeof compactionFilter !== "function") throw fault("its compactionFilter is no function");
  if (FUNCTION_NAMES.every((name) => exported[name] === undefined)) throw fault(`it exports none of ${FUNCTION_NAMES.join(", ")}`);
  return { mergeOperator, blockTransformer, compactionFilter } as LsmFunctions;
}
