/**
 * Who is here at the moment, in no order, for members that come and go thousands of times a second. A `Set` would do, but
 * each time it makes room it leaves its old table behind, which points to the next: once one of them has grown old, everybody
 * who was ever listed survives until the next full collection.
 */
export class Roster<T> {
  readonly #places: Place<T>[] = [];

  get size(): number {
    return this.#places.length;
  }

  /** Returns how to take it off again; more than once is as good as once. */
  add(member: T): () => void {
    const place: Place<T> = { member, at: this.#places.length };
    this.#places.push(place);
    return () => this.#remove(place);
  }

  /** As it is now: whoever comes or goes meanwhile makes no difference. */
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
