/**
 * Majorities, simple and joint. A joint configuration decides only what both halves decide (section 6).
 * The empty majority decides everything, which makes it the neutral second half of a configuration that is not joint.
 */

/** What is known of a vote. */
export type VoteResult = "pending" | "lost" | "won";

/** What `id` has acknowledged; 0 if nothing. */
export type Acked = (id: number) => number;

/** How `id` voted; undefined if it did not yet. */
export type Voted = (id: number) => boolean | undefined;

/** The number of members that is more than half of `size`. */
export function majority(size: number): number {
  return Math.floor(size / 2) + 1;
}

/** The largest index that a majority of `voters` has acknowledged; Infinity for no voters. Source: section 5.3. */
export function majorityIndex(voters: readonly number[], acked: Acked): number {
  const size = voters.length;
  if (size === 0) return Infinity;
  if (size === 1) return acked(voters[0] as number);
  const indexes: number[] = [];
  for (const id of voters) {
    const index = acked(id);
    let at = indexes.length;
    indexes.push(index);
    for (; at > 0 && (indexes[at - 1] as number) > index; at--) indexes[at] = indexes[at - 1] as number;
    indexes[at] = index;
  }
  return indexes[size - majority(size)] as number;
}

/** The largest index that a majority of each half has acknowledged. */
export function jointIndex(incoming: readonly number[], outgoing: readonly number[], acked: Acked): number {
  const index = majorityIndex(incoming, acked);
  return outgoing.length === 0 ? index : Math.min(index, majorityIndex(outgoing, acked));
}

/** The result of a vote among `voters`. */
export function majorityVote(voters: readonly number[], voted: Voted): VoteResult {
  if (voters.length === 0) return "won";
  let yes = 0;
  let missing = 0;
  for (const id of voters) {
    const vote = voted(id);
    if (vote === undefined) missing++;
    else if (vote) yes++;
  }
  const needed = majority(voters.length);
  if (yes >= needed) return "won";
  return yes + missing >= needed ? "pending" : "lost";
}

/** The result of a vote that needs a majority of each half. */
export function jointVote(incoming: readonly number[], outgoing: readonly number[], voted: Voted): VoteResult {
  const left = majorityVote(incoming, voted);
  const right = majorityVote(outgoing, voted);
  if (left === right) return left;
  if (left === "lost" || right === "lost") return "lost";
  return "pending";
}
