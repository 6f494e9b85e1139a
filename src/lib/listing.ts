/**
 * The members present at the moment, in no order, for members that come and go thousands of times a second. A `Set` would do, but each time
 * it makes room it leaves its old table behind, which points to the next: once one of them has grown old, every member ever listed
 * survives until the next full collection.
 */
export class Listing<T> {
  readonly #places: Place<T>[] = [];

  get size(): number {
    return this.#places.length;
  }

  /** Returns the function that removes the member; further calls of it do nothing. */
  add(member: T): () => void {
    const place: Place<T> = { member, at: this.#places.length };
    this.#places.push(place);
    return () => this.#remove(place);
  }

  /** A copy, which members that come or go meanwhile do not change. */
  members(): T[] {
    return this.#places.map(({ member }) => member);
  }

  #remove(place: Place<T>): void {
    if (this.#places[place.at] !== place) return;
    const last = this.#places.pop();
    if (last === undefined || last === place) return;
    this.#places[place.at] = last;
    last.at = place.at;
  }
}

interface Place<T> {
  readonly member: T;
  at: number;
}
