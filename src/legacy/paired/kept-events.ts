import type { JsonText } from "../../protocol/jsonrpc.ts";

/** An event that a client may ask for again. */
export interface KeptEvent {
  /** The stream on which it was sent. */
  readonly stream: string;
  /** Its number on that stream, from 1. */
  readonly number: number;
  readonly message: JsonText;
}

export interface KeptEventsOptions {
  readonly maxEvents: number;
  readonly maxChars: number;
  /** Called when no event of a stream is kept any more. */
  readonly onForgotten: (stream: string) => void;
}

/** Room for the events of all sessions together, in characters. */
export class EventRoom {
  #free: number;

  constructor(chars: number) {
    this.#free = chars;
  }

  /** Returns whether there was enough. */
  take(chars: number): boolean {
    if (chars > this.#free) return false;
    this.#free -= chars;
    return true;
  }

  give(chars: number): void {
    this.#free += chars;
  }
}

/** The last events of one session, on all its streams: the oldest go first. */
export class KeptEvents {
  readonly #room: EventRoom;
  readonly #options: KeptEventsOptions;
  #events: KeptEvent[] = [];
  /** How many events of each stream are kept. */
  readonly #counts = new Map<string, number>();
  #chars = 0;

  constructor(room: EventRoom, options: KeptEventsOptions) {
    this.#room = room;
    this.#options = options;
  }

  /** Keeps an event, unless it is larger than all the room there is. */
  add(event: KeptEvent): void {
    const { maxEvents, maxChars } = this.#options;
    const { length } = event.message;
    if (length > maxChars) return;
    while (this.#events.length >= maxEvents || this.#chars + length > maxChars) this.#drop();
    while (!this.#room.take(length)) {
      if (this.#events.length === 0) return;
      this.#drop();
    }
    this.#events.push(event);
    this.#counts.set(event.stream, (this.#counts.get(event.stream) ?? 0) + 1);
    this.#chars += length;
  }

  /** Whether any event of a stream is kept. */
  has(stream: string): boolean {
    return this.#counts.has(stream);
  }

  /** The kept events of a stream after this number. */
  after(stream: string, number: number): readonly KeptEvent[] {
    return this.#events.filter((event) => event.stream === stream && event.number > number);
  }

  clear(): void {
    this.#room.give(this.#chars);
    this.#events = [];
    this.#counts.clear();
    this.#chars = 0;
  }

  #drop(): void {
    const event = this.#events.shift();
    if (event === undefined) return;
    const { stream, message } = event;
    this.#chars -= message.length;
    this.#room.give(message.length);
    const left = (this.#counts.get(stream) ?? 0) - 1;
    if (left > 0) return void this.#counts.set(stream, left);
    this.#counts.delete(stream);
    this.#options.onForgotten(stream);
  }
}
