/** The append messages on their way to one follower, oldest first: a window bounded by messages and by bytes. */
import { assert } from "../base/mod.ts";

/** The window. It may exceed the byte limit by its last message, so that a large entry can be sent at all. */
export class Inflights {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  /** The last index of each message and its bytes, in rings that grow to `maxMessages`. */
  #indexes: number[] = [];
  #sizes: number[] = [];
  #start = 0;
  #used = 0;
  #bytes = 0;

  constructor(maxMessages: number, maxBytes: number) {
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
  }

  get count(): number {
    return this.#used;
  }

  get byteCount(): number {
    return this.#bytes;
  }

  full(): boolean {
    return this.#used >= this.#maxMessages || this.#bytes >= this.#maxBytes;
  }

  /** A message that ends at `index` was sent. @throws AssertionError if the window is full. */
  add(index: number, bytes: number): void {
    assert(!this.full(), "nothing is sent into a full window");
    if (this.#used === this.#indexes.length) this.#grow();
    const at = (this.#start + this.#used) % this.#indexes.length;
    this.#indexes[at] = index;
    this.#sizes[at] = bytes;
    this.#used++;
    this.#bytes += bytes;
  }

  /** Everything up to `index` has arrived. */
  freeTo(index: number): void {
    while (this.#used > 0 && (this.#indexes[this.#start] as number) <= index) {
      this.#bytes -= this.#sizes[this.#start] as number;
      this.#start = (this.#start + 1) % this.#indexes.length;
      this.#used--;
    }
    if (this.#used === 0) this.#start = 0;
  }

  reset(): void {
    this.#start = 0;
    this.#used = 0;
    this.#bytes = 0;
  }

  #grow(): void {
    const size = Math.min(this.#maxMessages, Math.max(4, this.#indexes.length * 2));
    const indexes: number[] = [];
    const sizes: number[] = [];
    for (let k = 0; k < size; k++) {
      const from = (this.#start + k) % Math.max(1, this.#indexes.length);
      indexes.push(k < this.#used ? (this.#indexes[from] as number) : 0);
      sizes.push(k < this.#used ? (this.#sizes[from] as number) : 0);
    }
    this.#indexes = indexes;
    this.#sizes = sizes;
    this.#start = 0;
  }
}
