/**
 * Bugs, each as a change of the log's own text. A test copies the sources, plants one bug and opens the log from the copy: production code has no
 * switches, and a bug that no longer fits its text is reported, not skipped.
 */

import type { LAWS } from "./laws.ts";

/** A bug: in `file` of src/replica/log, `from` (which stands there exactly once) becomes `to`. */
export interface PlantedBug {
  readonly name: string;
  /** The law that catches it. */
  readonly law: keyof typeof LAWS;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  { name: "a group is acknowledged without a sync", law: "crash", file: "log.ts", from: "      tail.file.datasync();\n", to: "" },
  { name: "a segment's head is not synced before its first batch", law: "crash", file: "log.ts", from: "    file.datasync();\n", to: "" },
  {
    name: "a segment's name is not synced",
    law: "crash",
    file: "log.ts",
    from: "    file.datasync();\n    this.#parts.files.syncDirectory(this.#folder);\n",
    to: "    file.datasync();\n",
  },
  {
    name: "frames are not chained",
    law: "fullDisk",
    file: "frame-cursor.ts",
    from: "this.previous !== undefined && view.getUint32",
    to: "false && view.getUint32",
  },
  {
    name: "checksums are not compared",
    law: "crash",
    file: "frame-cursor.ts",
    from: "if (this.#source.crc32(this.#window.subarray(at + offset.previous, at + size), seed) !== crc)",
    to: "if (false)",
  },
  { name: "frames are valid in every segment", law: "crash", file: "format.ts", from: "setU64(viewOf(bytes), 0, id);", to: "" },
  {
    name: "frames are valid at every offset",
    law: "rot",
    file: "format.ts",
    from: "(segmentSeed ^ Math.imul(offset / FRAME_ALIGN_BYTES, 0x9e37_79b1)) >>> 0",
    to: "(segmentSeed + 0 * offset) >>> 0",
  },
  {
    name: "what recovery read from memory is not made durable",
    law: "failure",
    file: "recover.ts",
    from: "if (tail !== undefined) makeDurable(tail);",
    to: "",
  },
  {
    name: "what recovery read is synced, but not written again",
    law: "failure",
    file: "recover.ts",
    from: "    tail.file.write(bytes, batchStart);\n",
    to: "",
  },
  {
    name: "damage before a whole batch is cut away",
    law: "rot",
    file: "recover.ts",
    from: "if (later === undefined) return scan;",
    to: "return scan;",
  },
  {
    name: "frames count before their batch-end frame",
    law: "crash",
    file: "segment-scan.ts",
    from: "    draft.last = { index, term };\n    if (start",
    to: "    draft.last = { index, term };\n    this.state = draft;\n    if (start",
  },
  {
    name: "a late commit index replaces a newer one",
    law: "crash",
    file: "append-plan.ts",
    from: "commit: Math.max(from.commit, to.commit)",
    to: "commit: to.commit",
  },
  {
    name: "entries are dropped without their commit index on disk",
    law: "bound",
    file: "append-plan.ts",
    from: "[hardStatePart(hardState), compactPart(to)]",
    to: "[compactPart(to)]",
  },
  {
    name: "one segment too many is dropped",
    law: "crash",
    file: "log.ts",
    from: "this.#sealed.splice(0, keep)",
    to: "this.#sealed.splice(0, keep + 1)",
  },
  {
    name: "segments are dropped before the mark is durable",
    law: "crash",
    file: "log.ts",
    from: "      tail.file.datasync();\n",
    to: "      if (plan.state.compacted.index > this.#state.compacted.index) { const now = this.#state; this.#state = plan.state; this.#dropSegments(); this.#state = now; }\n      tail.file.datasync();\n",
  },
  {
    name: "entries are taken without a reserve",
    law: "fullDisk",
    file: "log.ts",
    from: "if (plan.hasEntries && this.#blanks.count === 0 && !this.#createBlank())",
    to: "if (false)",
  },
  {
    name: "entries take the reserve",
    law: "fullDisk",
    file: "log.ts",
    from: "if (plan.hasEntries && this.#blanks.count < BLANKS_MAX) return false;",
    to: "",
  },
  {
    name: "a vote does not take the reserve",
    law: "fullDisk",
    file: "log.ts",
    from: "if (written === undefined && !plan.hasEntries && this.#rotate())",
    to: "if (false)",
  },
  {
    name: "a failed sync is forgotten",
    law: "failure",
    file: "log.ts",
    from: "if (this.#failure !== undefined) throw this.#failure;",
    to: "",
  },
  {
    name: "a truncation leaves its entries findable",
    law: "crash",
    file: "positions.ts",
    from: "while ((this.#points.at(-1)?.index ?? -1) >= index) this.#points.pop();",
    to: "",
  },
  {
    name: "a truncation into an older segment is not remembered",
    law: "crash",
    file: "tail.ts",
    from: "this.low = Math.min(this.low, low);",
    to: "",
  },
  {
    name: "a truncation into an older segment is not found again",
    law: "crash",
    file: "segment-scan.ts",
    from: "draft.low = Math.min(draft.low, index);",
    to: "",
  },
  {
    name: "a half-made segment stays when there is no space",
    law: "halfSegment",
    file: "log.ts",
    from: "      this.#parts.files.remove(path);\n",
    to: "",
  },
  {
    name: "a lost segment is not missed",
    law: "missing",
    file: "recover.ts",
    from: "if (name === undefined)\n",
    to: "if (name === undefined) break;\n      if (name === '')\n",
  },
  {
    name: "a blank found after a crash is believed to be full of bytes",
    law: "fullDisk",
    file: "blanks.ts",
    from: 'return this.#fill(name, "write");',
    to: "this.#names.push(name);\n    return true;",
  },
  {
    name: "a crash's second name of a segment is taken for a blank",
    law: "crash",
    file: "recover.ts",
    from: "blanks.count === BLANKS_MAX || this.#isSegment(name, wanted)",
    to: "blanks.count === BLANKS_MAX",
  },
  {
    name: "a clean close writes nothing",
    law: "rot",
    file: "log.ts",
    from: "if (this.#failure === undefined) this.#append(planHardState(this.#state));",
    to: "",
  },
];

/** Bugs of the log's thread and of its handle, caught by the thread's law. */
export const PLANTED_THREAD_BUGS: readonly Omit<PlantedBug, "law">[] = [
  {
    name: "a batch is acknowledged before it is written",
    file: "writer.ts",
    from: "      const { refusal } = this.#log.append([batch]);\n",
    to: "      post(this.#scope, { kind: 'persisted', number });\n      const { refusal } = this.#log.append([batch]);\n",
  },
  {
    name: "a refused batch is acknowledged",
    file: "writer.ts",
    from: 'else post(this.#scope, { kind: "refused", number, error: packError(refusal) });',
    to: 'else post(this.#scope, { kind: "persisted", number });',
  },
  {
    name: "a refused batch is forgotten",
    file: "handle.ts",
    from: "        this.#refusal = unpackError(reply.error);\n",
    to: "        this.#refusal = unpackError(reply.error);\n        this.#pending.shift();\n",
  },
  {
    name: "what waits is acknowledged with what was written",
    file: "handle.ts",
    from: "if (batch.number > number && !isCommitOnly(batch)) break;",
    to: "void number;",
  },
  {
    name: "a commit index is acknowledged before the batch in front of it",
    file: "handle.ts",
    from: "if (this.#pending.length === 0) this.#owner.acknowledge(batch.number);",
    to: "if (this.#pending.length >= 0) this.#owner.acknowledge(batch.number);",
  },
  {
    name: "a failure is not told",
    file: "writer.ts",
    from: '    post(this.#scope, { kind: "failed", error: packError(error) });\n  }',
    to: "  }",
  },
];
