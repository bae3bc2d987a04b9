/**
 * Binding of parameters, as rqlite's driver does it: a statement takes as many parameters from the list as it has places, from left to
 * right; a parameter with a name goes to the place of that name, whatever the prefix. Unlike there, a parameter of the text's last statement that has
 * no place is an error: a misspelled name would else be NULL in silence.
 */
import { isNamedParam, type SqlParam, type SqlValue } from "../command/command.ts";
import type { Prepared } from "./prepared.ts";

type BoundValue = null | bigint | number | string | Uint8Array;
/** What is passed to run, all, get and iterate. */
export type BoundParams = readonly (BoundValue | Readonly<Record<string, BoundValue>>)[];

const NONE: BoundParams = [];

/** A message for the client, or the parameters to bind. */
export type Binding = { readonly error: string } | { readonly error: undefined; readonly params: BoundParams };

/** Which parameters of a text are for a statement of it: those after the first `start`, and all others if it is the last one. */
export interface Share {
  readonly start: number;
  readonly isLast: boolean;
}

/** Binds what `prepared` takes of `params`. */
export function bind(prepared: Prepared, params: readonly SqlParam[], { start, isLast }: Share): Binding {
  const count = prepared.paramCount;
  if (start === 0 && isLast && (params.length > count || prepared.paramNames !== undefined)) {
    const problem = placeless(prepared, params);
    if (problem !== undefined) return { error: problem };
  }
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

/** What is wrong with parameters that are all for this statement, if it has no place for one. */
function placeless({ paramCount, paramNames = [] }: Prepared, params: readonly SqlParam[]): string | undefined {
  const names = paramNames.filter((name): name is string => name !== undefined && !name.startsWith("?"));
  const known = new Set(names.map((name) => name.slice(1)));
  let positional = 0;
  for (const param of params) {
    if (!isNamedParam(param)) positional++;
    else if (!known.has(withoutPrefix(param.name))) {
      const has = names.length === 0 ? "no named ones" : [...new Set(names)].join(", ");
      return `unknown parameter ${JSON.stringify(param.name)}: the statement has ${has}`;
    }
  }
  return positional > paramCount ? `too many args to execute query: want ${paramCount} got ${positional}` : undefined;
}

/** Drivers differ in whether a name is given with its prefix. */
function withoutPrefix(name: string): string {
  return /^[:@$]/.test(name) ? name.slice(1) : name;
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
    for (const place of places.get(withoutPrefix(param.name)) ?? []) values[place] = bound(param.value);
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
