/** The bytes of members, of a membership change's context and of a node's identity: docs/formats/members.md. The numbers here are FROZEN. */
import { assert, fromUtf8, getU64, PumiceError, setU64, toHex, utf8, viewOf } from "../../base/mod.ts";
import type { ConfState } from "../../raft/mod.ts";
import type { Member, Members, NodeIdentity } from "./member.ts";

/** What a membership change says of the members that it adds, or describes anew. */
export interface MembershipContext {
  readonly clusterId: string;
  readonly described: readonly Member[];
}

const VERSION = 1;
const AUTO_LEAVE = 1;
const CLUSTER_ID_BYTES = 16;
const NO_CLUSTER = "0".repeat(CLUSTER_ID_BYTES * 2);
const TEXT_BYTES_MAX = 0xffff;

/** The context of a membership change. @throws AssertionError if a text is longer than 65,535 bytes */
export function encodeContext(context: MembershipContext): Uint8Array {
  const out = new Writer();
  out.u8(VERSION);
  out.clusterId(context.clusterId);
  out.members(context.described);
  return out.bytes();
}

/** What a context says; undefined if it is empty. @throws REPLICA_MEMBERS */
export function decodeContext(bytes: Uint8Array): MembershipContext | undefined {
  if (bytes.length === 0) return undefined;
  return read(bytes, (source) => ({ clusterId: source.clusterId(), described: source.members() }));
}

/** The row `members` of the state table. */
export function encodeMembers(members: Members): Uint8Array {
  const { confState } = members;
  const out = new Writer();
  out.u8(VERSION);
  out.clusterId(members.clusterId);
  out.u64(members.lastNodeId);
  out.u8(confState.autoLeave ? AUTO_LEAVE : 0);
  for (const ids of [confState.voters, confState.votersOutgoing, confState.learners, confState.learnersNext]) out.ids(ids);
  out.members(members.described);
  return out.bytes();
}

/** @throws REPLICA_MEMBERS */
export function decodeMembers(bytes: Uint8Array): Members {
  return read(bytes, (source) => {
    const clusterId = source.clusterId();
    const lastNodeId = source.u64();
    const autoLeave = source.u8() === AUTO_LEAVE;
    const [voters, votersOutgoing, learners, learnersNext] = [source.ids(), source.ids(), source.ids(), source.ids()];
    const confState: ConfState = { voters, votersOutgoing, learners, learnersNext, autoLeave };
    return { clusterId, confState, lastNodeId, described: source.members() };
  });
}

/** The row `node` of the state table. */
export function encodeIdentity(identity: NodeIdentity): Uint8Array {
  const out = new Writer();
  out.u8(VERSION);
  out.clusterId(identity.clusterId);
  out.u64(identity.nodeId);
  out.text(identity.name);
  return out.bytes();
}

/** @throws REPLICA_MEMBERS */
export function decodeIdentity(bytes: Uint8Array): NodeIdentity {
  return read(bytes, (source) => ({ clusterId: source.clusterId(), nodeId: source.u64(), name: source.text() }));
}

function read<T>(bytes: Uint8Array, parse: (source: Source) => T): T {
  const source = new Source(bytes);
  if (source.u8() !== VERSION) throw new PumiceError("REPLICA_MEMBERS", { version: bytes[0], known: VERSION });
  const value = parse(source);
  source.mustBeAtEnd();
  return value;
}

class Writer {
  #out: number[] = [];

  u8(value: number): void {
    this.#out.push(value);
  }

  u16(value: number): void {
    assert(value <= TEXT_BYTES_MAX, "a count or a length is at most 65,535");
    this.#out.push(value & 0xff, value >>> 8);
  }

  u64(value: number): void {
    const bytes = new Uint8Array(8);
    setU64(viewOf(bytes), 0, value);
    this.#out.push(...bytes);
  }

  clusterId(id: string): void {
    const hex = id === "" ? NO_CLUSTER : id;
    assert(/^[0-9a-f]{32}$/.test(hex), "a cluster id is 32 hexadecimal digits");
    for (let at = 0; at < hex.length; at += 2) this.#out.push(Number.parseInt(hex.slice(at, at + 2), 16));
  }

  text(text: string): void {
    const bytes = utf8(text);
    this.u16(bytes.length);
    for (const byte of bytes) this.#out.push(byte);
  }

  ids(ids: readonly number[]): void {
    this.u16(ids.length);
    for (const id of ids) this.u64(id);
  }

  members(members: readonly Member[]): void {
    this.u16(members.length);
    for (const { nodeId, name, raftAddress, apiAddress } of members) {
      this.u64(nodeId);
      for (const text of [name, raftAddress, apiAddress]) this.text(text);
    }
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#out);
  }
}

class Source {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  u8(): number {
    return this.#take(1)[0] as number;
  }

  u16(): number {
    return viewOf(this.#take(2)).getUint16(0, true);
  }

  u64(): number {
    const value = getU64(viewOf(this.#take(8)), 0);
    if (value === undefined) throw damaged();
    return value;
  }

  clusterId(): string {
    const hex = toHex(this.#take(CLUSTER_ID_BYTES));
    return hex === NO_CLUSTER ? "" : hex;
  }

  text(): string {
    const bytes = this.#take(this.u16());
    try {
      return fromUtf8(bytes);
    } catch (error) {
      throw damaged(error);
    }
  }

  ids(): number[] {
    return Array.from({ length: this.u16() }, () => this.u64());
  }

  members(): Member[] {
    return Array.from({ length: this.u16() }, () => ({
      nodeId: this.u64(),
      name: this.text(),
      raftAddress: this.text(),
      apiAddress: this.text(),
    }));
  }

  mustBeAtEnd(): void {
    if (this.#at !== this.#bytes.length) throw damaged();
  }

  #take(count: number): Uint8Array {
    if (this.#at + count > this.#bytes.length) throw damaged();
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}

function damaged(cause?: unknown): PumiceError {
  return new PumiceError("REPLICA_MEMBERS", { reason: "the bytes are cut off or contradict themselves" }, cause);
}
