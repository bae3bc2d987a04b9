/**
 * Binding of parameters, as rqlite's driver does it: a statement takes as many parameters from the list as it has places, from left to
 * right; a parameter with a name goes to the place of that name, whatever the prefix.
 */
import { isNamedParam, type SqlParam, type SqlValue } from "../command/command.ts";
import type { Prepared } from "./prepared.ts";

type BoundValue = null | bigint | number | string | Uint8Array;
/** What is passed to run, all, get and iterate. */
export type BoundParams = readonly (BoundValue | Readonly<Record<string, BoundValue>>)[];

const NONE: BoundParams = [];

/** A message for the client, or the parameters to bind. */
export type Binding = { readonly error: string } | { readonly error: undefined; readonly params: BoundParams };

/** Binds what `prepared` takes from `params` after the first `start` of them. */
export function bind(prepared: Prepared, params: readonly SqlParam[], start: number): Binding {
  const count = prepared.paramCount;
  if (count === 0) return { error: undefined, params: NONE };
  if (params.length - start < count) {
    return { error: `not enough args to execute query: want ${count} got ${params.length - start}` };
  }
  const { paramNames } = prepared;
  if (paramNames === undefined) {
    const values: BoundValue[] = [];
    for (let i = start; i < start + count; i++) {
      const param = params[i] as SqlParam;
      values.push(isNamedParam(param) ? null : bound(param));
    }
    return { error: undefined, params: values };
  }
  return { error: undefined, params: bindNamed(paramNames, params, start) };
}

/** node:sqlite binds `?` and `?N` by the order of their places and everything else by its full name. */
function bindNamed(names: readonly (string | undefined)[], params: readonly SqlParam[], start: number): BoundParams {
  const values: BoundValue[] = names.map(() => null);
  names.forEach((_, i) => {
    const param = params[start + i] as SqlParam;
    if (!isNamedParam(param)) values[i] = bound(param);
  });
  const places = placesByName(names);
  for (const param of params) {
    if (!isNamedParam(param)) continue;
    for (const place of places.get(param.name) ?? []) values[place] = bound(param.value);
  }
  const named: Record<string, BoundValue> = {};
  const anonymous: BoundValue[] = [];
  names.forEach((name, i) => {
    if (name === undefined || name.startsWith("?")) anonymous.push(values[i] as BoundValue);
    else named[name] = values[i] as BoundValue;
  });
  return [named, ...anonymous];
}

/** One name may have several places, with other prefixes. */
function placesByName(names: readonly (string | undefined)[]): Map<string, number[]> {
  const places = new Map<string, number[]>();
  names.forEach((name, place) => {
    if (name === undefined || name.startsWith("?")) return;
    const key = name.slice(1);
    const known = places.get(key);
    if (known === undefined) places.set(key, [place]);
    else known.push(place);
  });
  return places;
}

/** Booleans are stored as integers. */
function bound(value: SqlValue): BoundValue {
  return typeof value === "boolean" ? (value ? 1n : 0n) : value;
}
