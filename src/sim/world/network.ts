/** A simulated network: messages between members arrive late, twice, in any order, or never. */
import { copyBytes, assert, type Clock, type NodeId, type Random, type Transport } from "../../base/mod.ts";

/** How bad the network is. All default to none. */
export interface SimNetworkOptions {
  readonly lossPerMille?: number | undefined;
  readonly duplicatePerMille?: number | undefined;
  /** Each message takes a time drawn from [0, delayMsMax]. */
  readonly delayMsMax?: number | undefined;
}

/** The network. Members join it; links between them can be cut, each way by itself. */
export class SimNetwork {
  options: SimNetworkOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #members = new Map<NodeId, SimTransport>();
  readonly #cut = new Set<string>();

  constructor(clock: Clock, random: Random, options: SimNetworkOptions = {}) {
    this.#clock = clock;
    this.#random = random;
    this.options = options;
  }

  /** `id`'s end of the network. One that joined before under this id is replaced: its process is gone. */
  join(id: NodeId): Transport {
    const transport = new SimTransport((to, message) => this.#send(id, to, message));
    this.#members.set(id, transport);
    return transport;
  }

  /** Messages from `from` to `to` are lost until `heal`, those on their way too. */
  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}>${to}`);
  }

  /** Mends every link. */
  heal(): void {
    this.#cut.clear();
  }

  #send(from: NodeId, to: NodeId, message: Uint8Array): void {
    const { lossPerMille = 0, duplicatePerMille = 0 } = this.options;
    if (this.#random.below(1000) < lossPerMille) return;
    const copies = this.#random.below(1000) < duplicatePerMille ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) void this.#carry(from, to, copyBytes(message));
  }

  async #carry(from: NodeId, to: NodeId, message: Uint8Array): Promise<void> {
    const { delayMsMax = 0 } = this.options;
    await this.#clock.sleep(delayMsMax === 0 ? 0 : this.#random.below(delayMsMax + 1));
    if (!this.#cut.has(`${from}>${to}`)) this.#members.get(to)?.deliver(from, message);
  }
}

/** Messages that are kept until there is a receiver. More are dropped: the network promises nothing. */
const EARLY_MAX = 1024;

class SimTransport implements Transport {
  readonly #send: (to: NodeId, message: Uint8Array) => void;
  #receive: ((from: NodeId, message: Uint8Array) => void) | undefined;
  #early: { readonly from: NodeId; readonly message: Uint8Array }[] = [];
  #closed = false;

  constructor(send: (to: NodeId, message: Uint8Array) => void) {
    this.#send = send;
  }

  send(to: NodeId, message: Uint8Array): void {
    if (!this.#closed) this.#send(to, message);
  }

  onMessage(receive: (from: NodeId, message: Uint8Array) => void): void {
    assert(this.#receive === undefined, "a transport has one receiver");
    this.#receive = receive;
    for (const { from, message } of this.#early.splice(0)) receive(from, message);
  }

  close(): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  deliver(from: NodeId, message: Uint8Array): void {
    if (this.#closed) return;
    if (this.#receive !== undefined) this.#receive(from, message);
    else if (this.#early.length < EARLY_MAX) this.#early.push({ from, message });
  }
}
