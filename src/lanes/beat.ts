import type { ServerResponse } from "node:http";

/** Writes a comment on an answer that is a stream, or may become one, if this is a good moment for one. */
export interface Beating {
  beat(): void;
}

const beating = new WeakMap<ServerResponse, Beating>();

/** From now on this is how a comment gets into an answer. */
export function beatsBy(response: ServerResponse, stream: Beating): void {
  beating.set(response, stream);
}

/** Writes a comment on an answer, if there may be one and this is a good moment for it. */
export function beat(response: ServerResponse): void {
  beating.get(response)?.beat();
}
