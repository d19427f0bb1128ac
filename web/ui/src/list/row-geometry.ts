/**
 * Where rows lie in a list too long to be drawn whole: every row has an assumed height until it was measured, and the
 * places follow. Pure numbers; the virtual list asks and draws.
 */

export class RowGeometry {
  #assumed: number;
  /** Measured heights; NaN where not measured yet. */
  #heights: Float64Array = new Float64Array(1024).fill(NaN);
  /** `#tops[i]` is where row i begins; valid below `#validUpTo` inclusive. */
  #tops: Float64Array = new Float64Array(1025);
  #validUpTo = 0;
  #count = 0;

  constructor(assumedHeight: number) {
    this.#assumed = assumedHeight;
  }

  get count(): number {
    return this.#count;
  }

  /** The height of all rows together. */
  get total(): number {
    return this.topOf(this.#count);
  }

  /** Forgets all measures, for another width or way of wrapping. */
  reset(assumedHeight: number): void {
    this.#assumed = assumedHeight;
    this.#heights.fill(NaN, 0, this.#count);
    this.#validUpTo = 0;
  }

  /** Adds or removes rows at the end. */
  resize(count: number): void {
    this.#reserve(count);
    if (count > this.#count) this.#heights.fill(NaN, this.#count, count);
    this.#validUpTo = Math.min(this.#validUpTo, count, this.#count);
    this.#count = count;
  }

  /** Puts rows before the first one; the others keep their measures. */
  prepend(added: number): void {
    this.#reserve(this.#count + added);
    this.#heights.copyWithin(added, 0, this.#count);
    this.#heights.fill(NaN, 0, added);
    this.#count += added;
    this.#validUpTo = 0;
  }

  /** Notes a row's height; tells whether anything moved. */
  measure(index: number, height: number): boolean {
    if (index < 0 || index >= this.#count) return false;
    const before = this.heightOf(index);
    this.#heights[index] = height;
    if (Math.abs(before - height) < 0.5) return false;
    this.#validUpTo = Math.min(this.#validUpTo, index);
    return true;
  }

  /** Forgets one row's measure, for one that was folded. */
  forget(index: number): void {
    if (index < 0 || index >= this.#count) return;
    this.#heights[index] = NaN;
    this.#validUpTo = Math.min(this.#validUpTo, index);
  }

  heightOf(index: number): number {
    const height = this.#heights[index] ?? NaN;
    return Number.isNaN(height) ? this.#assumed : height;
  }

  /** Where a row begins; for `count`, where the last one ends. */
  topOf(index: number): number {
    const wanted = Math.max(0, Math.min(index, this.#count));
    for (let at = this.#validUpTo; at < wanted; at += 1) {
      this.#tops[at + 1] = (this.#tops[at] ?? 0) + this.heightOf(at);
    }
    this.#validUpTo = Math.max(this.#validUpTo, wanted);
    return this.#tops[wanted] ?? 0;
  }

  /** The row that lies at a height, by bisection; the last one below the end. */
  rowAt(offset: number): number {
    if (this.#count === 0) return 0;
    this.topOf(this.#count);
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#tops[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #reserve(count: number): void {
    if (count <= this.#heights.length) return;
    const capacity = Math.max(count, this.#heights.length * 2);
    const heights = new Float64Array(capacity).fill(NaN);
    heights.set(this.#heights.subarray(0, this.#count));
    const tops = new Float64Array(capacity + 1);
    tops.set(this.#tops.subarray(0, this.#count + 1));
    this.#heights = heights;
    this.#tops = tops;
  }
}
