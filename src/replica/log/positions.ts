/**
 * Where entries stand in one segment: a sparse, ordered list of points, kept by the code that scans or writes the segment.
 *
 * Invariant: index and offset both ascend from point to point. Invariant: from a point on, the entries up to the next point's index
 * follow each other in the file; entries that a truncation or a reset made void lie only between the last entry before a point
 * and that point.
 */

/** A point at least every so many bytes. */
const POINT_BYTES = 64 * 1024;

/** An entry's frame: where it begins, and the checksum of the frame before it. */
export interface Point {
  readonly index: number;
  readonly offset: number;
  readonly previous: number;
}

/** The points of one segment. */
export class Positions {
  #points: Point[] = [];
  /** The next entry begins a new run, whatever the distance. */
  #fresh = true;

  /** An entry was passed. */
  entry(point: Point): void {
    const last = this.#points.at(-1);
    if (!this.#fresh && last !== undefined && point.offset - last.offset < POINT_BYTES) return;
    this.#points.push(point);
    this.#fresh = false;
  }

  /** Entries from `index` on are void. */
  truncate(index: number): void {
    while ((this.#points.at(-1)?.index ?? -1) >= index) this.#points.pop();
    this.#fresh = true;
  }

  /** All entries so far are void. */
  reset(): void {
    this.#points = [];
    this.#fresh = true;
  }

  /** The last point at or before `index`, and the index of the point after it (Infinity if there is none). */
  find(index: number): { readonly point: Point; readonly until: number } | undefined {
    let low = 0;
    let high = this.#points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#points[middle] as Point).index <= index) low = middle + 1;
      else high = middle;
    }
    const point = this.#points[low - 1];
    return point === undefined ? undefined : { point, until: this.#points[low]?.index ?? Infinity };
  }
}
