/** What every Transport keeps on a network without fault. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asNodeId, type NodeId, type Transport } from "../../src/base/mod.ts";

/** `settle` resolves when every message that was sent has arrived, if it can. */
export interface TransportWorld {
  readonly join: (id: NodeId) => Promise<Transport> | Transport;
  readonly settle: () => Promise<void>;
}

type Received = { readonly from: NodeId; readonly message: number[] };

function receiver(transport: Transport): Received[] {
  const received: Received[] = [];
  transport.onMessage((from, message) => received.push({ from, message: [...message] }));
  return received;
}

export function transportConformance(name: string, create: () => TransportWorld): void {
  const [one, two, three] = [asNodeId(1), asNodeId(2), asNodeId(3)];

  test(`${name}: a message reaches whom it was sent to, with its sender's id, and nobody else`, async () => {
    const { join, settle } = create();
    const [a, b, c] = [await join(one), await join(two), await join(three)];
    const received = [receiver(a), receiver(b), receiver(c)];
    a.send(two, Uint8Array.of(1, 2));
    c.send(two, Uint8Array.of(3));
    b.send(one, Uint8Array.of());
    await settle();
    const byFrom = received[1]!.toSorted((left, right) => left.from - right.from);
    assert.deepEqual(byFrom, [
      { from: one, message: [1, 2] },
      { from: three, message: [3] },
    ]);
    assert.deepEqual(received[0], [{ from: two, message: [] }]);
    assert.deepEqual(received[2], []);
    await Promise.all([a.close(), b.close(), c.close()]);
  });

  test(`${name}: a message belongs to its receiver: two receivers never share bytes`, async () => {
    const { join, settle } = create();
    const [a, b, c] = [await join(one), await join(two), await join(three)];
    const messages: Uint8Array[] = [];
    b.onMessage((_, message) => messages.push(message));
    c.onMessage((_, message) => messages.push(message));
    const sent = Uint8Array.of(7);
    a.send(two, sent);
    a.send(three, sent);
    await settle();
    messages[0]![0] = 9;
    assert.deepEqual([...messages[1]!], [7]);
    assert.deepEqual([...sent], [7]);
    await Promise.all([a.close(), b.close(), c.close()]);
  });

  test(`${name}: a message to nobody is dropped, without an error`, async () => {
    const { join, settle } = create();
    const a = await join(one);
    a.send(two, Uint8Array.of(1));
    await settle();
    await a.close();
  });

  test(`${name}: once closed, nothing is received and nothing is sent; closing again is harmless`, async () => {
    const { join, settle } = create();
    const [a, b] = [await join(one), await join(two)];
    const atA = receiver(a);
    const atB = receiver(b);
    b.send(one, Uint8Array.of(1));
    await settle();
    await b.close();
    await b.close();
    a.send(two, Uint8Array.of(2));
    b.send(one, Uint8Array.of(3));
    await settle();
    assert.deepEqual(atB, []);
    assert.deepEqual(atA, [{ from: two, message: [1] }]);
    await a.close();
  });

  test(`${name}: messages that came before there was a receiver are not lost to it`, async () => {
    const { join, settle } = create();
    const [a, b] = [await join(one), await join(two)];
    a.send(two, Uint8Array.of(5));
    await settle();
    assert.deepEqual(receiver(b), [{ from: one, message: [5] }]);
    await Promise.all([a.close(), b.close()]);
  });
}
