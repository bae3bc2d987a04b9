/**
 * The host globals that a pure room may name, and no others. Each stands in every JavaScript host and has neither clock,
 * randomness nor I/O. Rooms with Node's own types do not include this file.
 */
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

interface AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

interface TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
  encodeInto(text: string, target: Uint8Array): { readonly read: number; readonly written: number };
}

interface TextDecoder {
  decode(bytes: Uint8Array): string;
}

declare var AbortSignal: { any(signals: readonly AbortSignal[]): AbortSignal };
declare var AbortController: { new (): AbortController };
declare var TextEncoder: { new (): TextEncoder };
declare var TextDecoder: { new (label?: "utf-8", options?: { readonly fatal?: boolean; readonly ignoreBOM?: boolean }): TextDecoder };

/** A deep copy, as it crosses between threads; what is in `transfer` is moved. */
declare function structuredClone<T>(value: T, options?: { readonly transfer?: readonly ArrayBuffer[] }): T;

interface Uint8Array<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike> {
  /** @deprecated Of a Buffer, which is a Uint8Array too, it gives a view and no copy: use copyBytes, or subarray where a view is meant. */
  slice(start?: number, end?: number): Uint8Array<ArrayBuffer>;
}
