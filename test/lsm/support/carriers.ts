/** The ways in which a caller may hand over bytes: all are Uint8Arrays, and none may change what a store answers. */

/** Hands over a copy of the bytes, in memory that may be used for something else as soon as the call it was made for has returned. */
export type Carrier = (bytes: Uint8Array) => Uint8Array;

const POOL_BYTES = 65_536;

/** Bytes that are written over in the next microtask: after the synchronous part of the call that they were made for. */
function spoiled(view: Uint8Array): Uint8Array {
  queueMicrotask(() => view.fill(0xff));
  return view;
}

/** Views of one pool, taken one behind the other. */
function pooled(pool: Uint8Array): Carrier {
  let at = 0;
  return (bytes) => {
    if (at + bytes.length > pool.length) at = 0;
    const view = pool.subarray(at, at + bytes.length);
    view.set(bytes);
    at += bytes.length;
    return spoiled(view);
  };
}

/** A new carrier of each kind, by its name. */
export const CARRIERS: Readonly<Record<string, () => Carrier>> = {
  "Uint8Array of its own": () => (bytes) => new Uint8Array(bytes),
  "Buffer of its own": () => (bytes) => Buffer.from(bytes),
  "Buffer that is written over": () => (bytes) => spoiled(Buffer.from(bytes)),
  "view of a pool that is written over": () => pooled(new Uint8Array(POOL_BYTES)),
  "view of a Buffer pool that is written over": () => pooled(Buffer.alloc(POOL_BYTES)),
};
