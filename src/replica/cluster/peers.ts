/** Who belongs to the cluster and where each member is: the one place that knows which node an id stands for. */
import type { Member, Members } from "./member.ts";

/** A member, as callers see it. Plain data. */
export interface Peer extends Member {
  readonly isVoter: boolean;
}

/** The members as of what this node has applied. This node itself is described by what it was started with. */
export class Peers {
  readonly #self: Member;
  #members: Members;
  #all: readonly Peer[] = [];

  constructor(self: Member, members: Members) {
    this.#self = self;
    this.#members = members;
    this.update(members);
  }

  /** The members that were applied last. */
  get members(): Members {
    return this.#members;
  }

  /** In the order of their ids. */
  get all(): readonly Peer[] {
    return this.#all;
  }

  /** This node. */
  get self(): Member {
    return this.#self;
  }

  /** The member with that id; undefined if there is none (0: nobody), or nobody has described it. */
  find(nodeId: number): Peer | undefined {
    return this.#all.find((peer) => peer.nodeId === nodeId);
  }

  /** True if the members' own description of this node is not what it was started with. */
  get isSelfOutdated(): boolean {
    const { nodeId, name, raftAddress, apiAddress } = this.#self;
    const told = this.#members.described.find((member) => member.nodeId === nodeId);
    return told?.name !== name || told.raftAddress !== raftAddress || told.apiAddress !== apiAddress;
  }

  /** Members were applied. */
  update(members: Members): void {
    this.#members = members;
    const { voters, votersOutgoing } = members.confState;
    const others = members.described.filter(({ nodeId }) => nodeId !== this.#self.nodeId);
    const isMember = voters.includes(this.#self.nodeId) || members.confState.learners.includes(this.#self.nodeId);
    this.#all = [...others, ...(isMember ? [this.#self] : [])]
      .sort((left, right) => left.nodeId - right.nodeId)
      .map((member) => ({ ...member, isVoter: voters.includes(member.nodeId) || votersOutgoing.includes(member.nodeId) }));
  }
}
