/** Members: their bytes, and how membership entries change them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { EMPTY_BYTES, isPumiceError, toHex } from "../../../src/base/mod.ts";
import { encodeConfChange, type ConfChangeStep, type Entry } from "../../../src/raft/mod.ts";
import {
  decodeContext,
  decodeIdentity,
  decodeMembers,
  encodeContext,
  encodeIdentity,
  encodeMembers,
} from "../../../src/replica/cluster/members-codec.ts";
import type { Member, Members } from "../../../src/replica/cluster/member.ts";
import { membersAfter, nextNodeId, NO_MEMBERS } from "../../../src/replica/cluster/members.ts";

const CLUSTER = "00112233445566778899aabbccddeeff";
const member = (nodeId: number, name = `n${nodeId}`): Member => ({
  nodeId,
  name,
  raftAddress: `${name}:4002`,
  apiAddress: `http://${name}:4001`,
});

function change(steps: readonly ConfChangeStep[], described: readonly Member[], transition: "auto" | "explicit" = "auto"): Entry {
  const context = described.length === 0 ? EMPTY_BYTES : encodeContext({ clusterId: CLUSTER, described });
  return { index: 1, term: 1, type: "config", data: encodeConfChange({ transition, changes: steps, context }) };
}

const LEAVE: Entry = { index: 1, term: 1, type: "config", data: EMPTY_BYTES };
const FOUNDED = membersAfter(NO_MEMBERS, change([{ kind: "add-voter", nodeId: 1 }], [member(1)]));
/** In a joint configuration: 2 comes, 1 becomes a learner. */
const JOINT = membersAfter(
  FOUNDED,
  change(
    [
      { kind: "add-voter", nodeId: 2 },
      { kind: "add-learner", nodeId: 1 },
    ],
    [member(2, "zwei ü")],
    "explicit",
  ),
);

test("golden bytes of members, of a context and of a node's identity", () => {
  const golden = JSON.parse(readFileSync(join(import.meta.dirname, "../golden/members-v1.json"), "utf8")) as Record<string, string>;
  const written = {
    context: toHex(encodeContext({ clusterId: CLUSTER, described: [member(1)] })),
    identity: toHex(encodeIdentity({ clusterId: CLUSTER, nodeId: 2 ** 53 - 1, name: "node é" })),
    none: toHex(encodeMembers(NO_MEMBERS)),
    founded: toHex(encodeMembers(FOUNDED)),
    joint: toHex(encodeMembers(JOINT)),
  };
  assert.deepEqual(written, golden);
});

test("what is written is read again, and what is cut off, longer or of another version is refused", () => {
  for (const members of [NO_MEMBERS, FOUNDED, JOINT]) assert.deepEqual(decodeMembers(encodeMembers(members)), members);
  const identity = { clusterId: CLUSTER, nodeId: 3, name: "x" };
  assert.deepEqual(decodeIdentity(encodeIdentity(identity)), identity);
  assert.equal(decodeContext(EMPTY_BYTES), undefined);
  const whole = encodeMembers(JOINT);
  const wrong = [whole.subarray(0, -1), Uint8Array.of(...whole, 0), Uint8Array.of(2, ...whole.subarray(1)), EMPTY_BYTES];
  for (const bytes of wrong)
    assert.throws(
      () => decodeMembers(bytes),
      (error) => isPumiceError(error, "REPLICA_MEMBERS"),
    );
});

test("a joint configuration is kept whole, and left; who has left is not described any more, and its id is not given again", () => {
  assert.deepEqual(JOINT.confState, { voters: [2], votersOutgoing: [1], learners: [], learnersNext: [1], autoLeave: false });
  assert.deepEqual(JOINT.described, [member(1), member(2, "zwei ü")]);
  const left = membersAfter(JOINT, LEAVE);
  assert.deepEqual([left.confState.voters, left.confState.learners], [[2], [1]]);
  const gone = membersAfter(left, change([{ kind: "remove", nodeId: 1 }], []));
  assert.deepEqual(gone.described, [member(2, "zwei ü")]);
  assert.equal(nextNodeId(gone), 3);
  const lastGone: Members = membersAfter(
    membersAfter(gone, change([{ kind: "add-learner", nodeId: 3 }], [member(3)])),
    change([{ kind: "remove", nodeId: 3 }], []),
  );
  assert.equal(nextNodeId(lastGone), 4);
});

test("an update describes a member anew and changes no role; an entry of another cluster is refused", () => {
  const moved = membersAfter(FOUNDED, change([{ kind: "update", nodeId: 1 }], [{ ...member(1), raftAddress: "other:1" }]));
  assert.deepEqual(moved.confState, FOUNDED.confState);
  assert.equal(moved.described[0]?.raftAddress, "other:1");
  assert.throws(
    () => membersAfter({ ...FOUNDED, clusterId: "f".repeat(32) }, change([{ kind: "update", nodeId: 1 }], [member(1)])),
    (error) => isPumiceError(error, "REPLICA_MEMBERS"),
  );
});
