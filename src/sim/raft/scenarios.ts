/**
 * Directed generators: courses of events that chance hardly finds. Each leaves the group in the middle of trouble; the storm and
 * the healing that follow must cope.
 */
import type { Message } from "../../raft/mod.ts";
import type { SimNode } from "./node.ts";
import type { RaftWorld } from "./world.ts";

/** Delivers and writes for a while, only among the nodes of `group`. Other messages stay where they are. */
function live(world: RaftWorld, group: readonly SimNode[], turns: number): void {
  const ids = new Set(group.map((node) => node.id));
  for (let turn = 0; turn < turns; turn++) {
    const at = world.pool.findIndex((message) => ids.has(message.to) && ids.has(message.from));
    if (at >= 0) world.deliver(at, "once");
    const node = group[turn % Math.max(1, group.length)];
    if (node === undefined) return;
    if (node.disk.pending.length > 0) world.persist(node, node.disk.pending.length);
    if (node.toApply.length > 0) world.apply(node, node.toApply.length);
    if (node.toAcknowledge > 0) world.acknowledge(node);
  }
}

/** Makes `node` leader with the votes of `group`, if that can be. */
function elect(world: RaftWorld, node: SimNode, group: readonly SimNode[]): boolean {
  for (let attempt = 0; attempt < 6 && node.driver?.role !== "leader"; attempt++) {
    // Leases of a leader that is gone run out first.
    for (let k = 0; k < 14; k++) for (const one of group) if (one !== node) one.driver?.forgetLeader();
    for (let k = 0; k < 8; k++) for (const one of group) world.tick(one);
    world.campaign(node);
    live(world, group, 40 * group.length);
  }
  return node.driver?.role === "leader";
}

function voters(world: RaftWorld): SimNode[] {
  const first = world.nodes.get(1);
  return (first?.machine.members.voters ?? []).map((id) => world.nodes.get(id)).filter((node) => node !== undefined);
}

/**
 * Section 5.3, figure 7: leaders come and go, each leaving a tail of its own on its minority, then all meet. Tails of different
 * lengths and terms meet appends that carry less than they replace.
 */
function divergentTails(world: RaftWorld): void {
  const nodes = voters(world);
  if (nodes.length < 3) return;
  for (let term = 0; term < 6; term++) {
    const leader = nodes[world.below(nodes.length)] as SimNode;
    world.healAll();
    if (!elect(world, leader, nodes)) continue;
    const minority = new Set([leader.id]);
    for (const node of nodes)
      if (minority.size < Math.ceil(nodes.length / 2) - 1 + (nodes.length % 2 === 0 ? 1 : 0) && world.chance(50)) minority.add(node.id);
    world.partition(minority);
    const side = nodes.filter((node) => minority.has(node.id));
    for (let k = 0; k < 2 + world.below(6); k++) world.propose(leader, 1 + world.below(2), 4);
    live(world, side, 30);
    for (let k = 0; k < 14; k++) for (const node of nodes) world.tick(node);
  }
  world.healAll();
}

/** Figure 8: an entry of an old term reaches a majority under a later leader, which then fails before its own entry does. */
function figure8(world: RaftWorld): void {
  const nodes = voters(world);
  if (nodes.length < 3) return;
  const [s1, s2, s3] = nodes as [SimNode, SimNode, SimNode];
  const last = nodes.at(-1) as SimNode;
  if (!elect(world, s1, nodes)) return;
  world.propose(s1, 1, 4);
  world.partition(new Set([s1.id, s2.id].slice(0, nodes.length >= 5 ? 2 : 1)));
  live(world, [s1, s2], 30);
  world.crash(s1);
  world.healAll();
  world.partition(new Set(nodes.filter((node) => node !== s1 && node !== s2).map((node) => node.id)));
  const others = nodes.filter((node) => node !== s1 && (nodes.length < 5 || node !== s2));
  world.healAll();
  if (elect(world, last, others)) world.propose(last, 1, 4);
  world.crash(last);
  world.boot(s1);
  const rest = nodes.filter((node) => node !== last);
  if (elect(world, s1, rest)) {
    const only = rest.filter((node) => node === s1 || node === s2 || node === s3);
    live(world, only, world.below(60));
  }
  world.crash(s1);
  world.boot(last);
}

/** A snapshot stays on its way while the log moves on and is compacted, and arrives, more than once, much later. */
function oldSnapshots(world: RaftWorld): void {
  const nodes = voters(world);
  const leader = nodes[0];
  const behind = nodes.at(-1);
  if (leader === undefined || behind === undefined || nodes.length < 3 || !elect(world, leader, nodes)) return;
  const others = nodes.filter((node) => node !== behind);
  const held: Message[] = [];
  for (let turn = 0; turn < 4; turn++) {
    world.propose(leader, 3, 4);
    live(world, others, 60);
    world.compact(leader, 0);
    world.tick(leader);
    live(
      world,
      nodes.filter((node) => node === leader || node === behind),
      12,
    );
    for (let at = world.pool.length - 1; at >= 0; at--) {
      const message = world.pool[at] as Message;
      if (message.type !== "MsgSnap") continue;
      held.push(message);
      world.drop(at);
    }
    if (turn > 0) for (const message of held) if (world.chance(50)) world.deliverMessage(message);
    world.reportSnapshot(leader, behind.id, world.chance(50) ? "failed" : "installed");
  }
  live(world, nodes, 80);
  for (const message of held) world.deliverMessage(message);
  live(world, nodes, 40);
  for (const message of held) world.deliverMessage(message);
}

/** A change of most voters, cut along the line between the old majority and the new one while both must agree. */
function jointPartition(world: RaftWorld): void {
  const nodes = voters(world);
  const leader = nodes[0];
  if (leader === undefined || nodes.length < 2 || !elect(world, leader, nodes)) return;
  const fresh = [1, 2].map((k) => nodes.length + k);
  const steps = [
    ...nodes.slice(1).map((node) => ({ kind: world.chance(50) ? ("remove" as const) : ("add-learner" as const), nodeId: node.id })),
    ...fresh.map((nodeId) => ({ kind: "add-voter" as const, nodeId })),
  ];
  if (!world.changeMembers(leader, steps, "explicit")) return;
  live(world, nodes, 30 + world.below(60));
  const old = new Set(nodes.map((node) => node.id));
  const added = fresh.map((id) => world.nodes.get(id)).filter((node) => node !== undefined);
  live(world, [...nodes, ...added], world.below(120));
  // The leader alone with the new ones, and the old ones among themselves.
  old.delete(leader.id);
  world.partition(old);
  world.propose(leader, 2, 4);
  for (let round = 0; round < 4; round++) {
    const side = round % 2 === 0 ? nodes.slice(1) : [leader, ...added];
    const candidate = side[world.below(side.length)];
    if (candidate !== undefined) elect(world, candidate, side);
    const winner = side.find((node) => node.driver?.role === "leader");
    if (winner !== undefined) world.propose(winner, 1, 4);
    live(world, side, 60);
    if (winner?.driver !== undefined && winner.driver.members.votersOutgoing.length > 0 && world.chance(50)) world.leaveJoint(winner);
  }
  world.healAll();
}

/** Candidates whose disks do not answer: what they send must not outrun what they would remember (hazard C1). */
function slowDisks(world: RaftWorld): void {
  const nodes = voters(world);
  if (nodes.length < 2) return;
  for (let round = 0; round < 8; round++) {
    const candidate = nodes[world.below(nodes.length)] as SimNode;
    world.boot(candidate);
    for (const node of nodes) node.driver?.forgetLeader();
    for (let k = 0; k < 14; k++) for (const node of nodes) world.tick(node);
    world.campaign(candidate);
    // Everybody else's disk works.
    const others = nodes.filter((node) => node !== candidate);
    for (let turn = 0; turn < 40; turn++) {
      const at = world.pool.findIndex((message) => message.type.includes("Vote") || message.type === "MsgApp");
      if (at >= 0) world.deliver(at, "once");
      const node = others[turn % others.length] as SimNode;
      if (node.disk.pending.length > 0) world.persist(node, node.disk.pending.length);
    }
    if (candidate.driver?.role === "leader") world.propose(candidate, 1, 4);
    if (world.chance(60)) world.crash(candidate);
    for (const node of nodes) world.boot(node);
  }
}

/**
 * The ABA of stored entries: a follower with a slow disk gets entries of one leader, then others of a second, then the first
 * ones again, while all three writes wait; the first one's completion must not count for the third.
 */
function storageAba(world: RaftWorld): void {
  const nodes = voters(world);
  if (nodes.length < 3) return;
  const [a, b, slow] = nodes as [SimNode, SimNode, SimNode];
  const fast = nodes.filter((node) => node !== slow);
  const feed = (from: SimNode): void => {
    for (let k = 0; k < 40; k++) {
      const at = world.pool.findIndex((m) => (m.to === slow.id && m.from === from.id) || (m.to === from.id && m.from === slow.id));
      if (at < 0) return;
      world.deliver(at, "once");
      if (from.disk.pending.length > 0) world.persist(from, from.disk.pending.length);
    }
  };
  for (let round = 0; round < 4; round++) {
    if (!elect(world, a, nodes)) return;
    world.propose(a, 2, 4);
    feed(a);
    // The second leader never saw those entries, and overwrites them on the slow node.
    if (elect(world, b, fast.filter((node) => node !== a).concat(world.chance(50) ? [] : [a]))) {
      world.propose(b, 1 + world.below(2), 4);
      feed(b);
    }
    if (elect(world, a, fast)) feed(a);
    if (slow.disk.pending.length > 0) world.persist(slow, 1);
    if (a.driver?.role === "leader") feed(a);
    if (world.chance(50)) {
      world.crash(slow);
      world.boot(slow);
    }
  }
}

/**
 * Most voters are demoted. The one that remains has stored that it alone votes, but does not know that this is committed; those that
 * know it have longer logs, and no vote any more (hazard C11). The leader that did it may be gone as well.
 */
function demotion(world: RaftWorld): void {
  const nodes = voters(world);
  const leader = nodes[0];
  const sole = nodes.at(-1);
  if (leader === undefined || sole === undefined || nodes.length < 3 || !elect(world, leader, nodes)) return;
  live(world, nodes, 60);
  const others = nodes.filter((node) => node !== sole);
  const steps = others.map((node) => ({ kind: world.chance(70) ? ("add-learner" as const) : ("remove" as const), nodeId: node.id }));
  if (!world.changeMembers(leader, steps, "implicit")) return;
  for (let k = 0; k < 80 && leader.driver?.members.votersOutgoing.length === 0; k++) live(world, nodes, nodes.length);
  if (leader.driver === undefined || leader.driver.members.votersOutgoing.length === 0) return;
  // The last entry leaves the joint configuration. What follows it goes to the demoted only.
  const leaves = leader.driver.lastIndex;
  world.propose(leader, 2, 4);
  for (let turn = 0; turn < 120; turn++) {
    for (let at = world.pool.length - 1; at >= 0; at--) {
      const message = world.pool[at] as Message;
      if (message.to === sole.id && (message.commit >= leaves || (message.entries.at(-1)?.index ?? 0) > leaves)) world.drop(at);
    }
    live(world, nodes, nodes.length);
    if (leader.driver.members.votersOutgoing.length === 0 && world.chance(10)) break;
  }
  if (world.chance(50)) world.crash(leader);
}

/**
 * A snapshot and the entries after it reach a node before it has dealt with either (hazard C4): the leader hears that the snapshot
 * is in, and an old heartbeat's answer sets it going again, while the snapshot still waits in the follower's turn.
 */
function snapshotWithEntries(world: RaftWorld): void {
  const nodes = voters(world);
  const leader = nodes[0];
  const behind = nodes.at(-1);
  if (leader === undefined || behind === undefined || nodes.length < 3 || !elect(world, leader, nodes)) return;
  const others = nodes.filter((node) => node !== behind);
  const take = (isMeant: (message: Message) => boolean): Message | undefined => {
    const at = world.pool.findIndex(isMeant);
    const message = world.pool[at];
    if (message !== undefined) world.drop(at);
    return message;
  };
  for (let round = 0; round < 3; round++) {
    world.propose(leader, 3, 4);
    live(world, others, 80);
    world.compact(leader, 0);
    // Everything else on its way to the one behind is lost.
    while (take((m) => m.to === behind.id || m.from === behind.id) !== undefined);
    world.reportUnreachable(leader, behind.id);
    world.tick(leader);
    let snapshot: Message | undefined;
    for (let k = 0; k < 12 && snapshot === undefined; k++) {
      live(world, [leader, behind], 4);
      world.tick(leader);
      snapshot = take((m) => m.type === "MsgSnap" && m.to === behind.id);
    }
    if (snapshot === undefined) continue;
    world.tick(leader);
    const beat = take((m) => m.type === "MsgHeartbeat" && m.to === behind.id && m.from === leader.id);
    if (beat !== undefined) world.deliverMessage(beat);
    if (behind.disk.pending.length > 0) world.persist(behind, behind.disk.pending.length);
    const answer = take((m) => m.type === "MsgHeartbeatResp" && m.from === behind.id);
    world.propose(leader, 2, 4);
    world.lazyPercent = 100;
    world.deliverMessage(snapshot);
    world.lazyPercent = 0;
    world.reportSnapshot(leader, behind.id, "installed");
    if (answer !== undefined) world.deliverMessage(answer);
    const append = take((m) => m.type === "MsgApp" && m.to === behind.id && m.entries.length > 0);
    world.lazyPercent = 100;
    if (append !== undefined) world.deliverMessage(append);
    world.lazyPercent = 0;
    live(world, nodes, 40);
  }
}

/** Answers to reads of a process that is gone reach the one that took its place, which reads too (hazard C10). */
function readsAcrossRestarts(world: RaftWorld): void {
  const nodes = voters(world);
  const leader = nodes[0];
  const reader = nodes.at(-1);
  if (leader === undefined || reader === undefined || nodes.length < 3 || !elect(world, leader, nodes)) return;
  const old: Message[] = [];
  for (let round = 0; round < 3; round++) {
    world.tick(leader);
    live(world, nodes, 60);
    world.read(reader);
    for (let turn = 0; turn < 60; turn++) {
      const at = world.pool.findIndex((message) => message.type === "MsgReadIndexResp" && message.to === reader.id);
      if (at >= 0) {
        old.push(world.pool[at] as Message);
        world.drop(at);
      }
      live(world, nodes, 1);
    }
    world.propose(leader, 2, 4);
    live(world, nodes, 80);
    world.crash(reader);
    world.boot(reader);
    world.tick(leader);
    live(world, nodes, 30);
    world.read(reader);
    for (const message of old) world.deliverMessage(message);
    live(world, nodes, 30);
  }
}

/**
 * Leases under every strain that may break one: the leader cut off, a follower restarted that had promised it, leadership handed
 * on while the old leader does not hear of it. The old leader is read from all the while. Clocks tick together.
 */
function leases(world: RaftWorld): void {
  const nodes = voters(world);
  const [old, heir] = nodes;
  if (old === undefined || heir === undefined || nodes.length < 3) return;
  const others = nodes.filter((node) => node !== old);
  const turn = (group: readonly SimNode[]): void => {
    world.tickAll();
    live(world, group, 12 * group.length);
    world.read(old);
  };
  for (let round = 0; round < 3; round++) {
    world.healAll();
    for (let k = 0; k < 40 && old.driver?.role !== "leader"; k++) {
      turn(nodes);
      world.campaign(old);
      const other = world.leader();
      if (other !== undefined && other !== old && k % 5 === 4) world.transfer(other, old.id);
    }
    if (old.driver?.role !== "leader") return;
    for (let k = 0; k < 3; k++) turn(nodes);
    const strain = world.below(3);
    if (strain === 0) {
      world.transfer(old, heir.id);
      live(world, nodes, 10);
    }
    world.partition(new Set([old.id]));
    if (strain === 1) {
      for (const node of others) {
        world.crash(node);
        world.boot(node);
      }
    }
    for (let k = 0; k < 16; k++) {
      turn([...others, old]);
      world.campaign(others[k % others.length] as SimNode);
      live(world, others, 20 * others.length);
      const leader = others.find((node) => node.driver?.role === "leader");
      if (leader !== undefined) world.propose(leader, 1, 4);
      live(world, others, 20 * others.length);
      world.read(old);
    }
  }
  world.healAll();
}

/** The generators by name. */
export const SCENARIOS = {
  divergentTails,
  figure8,
  oldSnapshots,
  snapshotWithEntries,
  readsAcrossRestarts,
  jointPartition,
  slowDisks,
  storageAba,
  demotion,
  leases,
} as const;

/** A generator's name. */
export type ScenarioName = keyof typeof SCENARIOS;
