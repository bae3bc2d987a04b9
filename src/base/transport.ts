/** Messages between members: one way, at most once, in any order, possibly late or never. Raft needs no more. */
import type { NodeId } from "./numbers.ts";

/** A member's end of the network. */
export interface Transport {
  /** Hands the message over and returns at once. The bytes must not change afterwards. A message that cannot be sent is dropped. */
  send(to: NodeId, message: Uint8Array): void;
  /** Sets the one receiver. `message` belongs to the receiver. */
  onMessage(receive: (from: NodeId, message: Uint8Array) => void): void;
  /** Idempotent. Nothing is received once it has resolved. */
  close(): Promise<void>;
}
