import type { ServerResponse } from "node:http";

/** Can write a comment on an answer that is a stream, or may become one, if the moment is good. */
export interface Beating {
  beat(): void;
}

const beating = new WeakMap<ServerResponse, Beating>();

/** Sets what writes comments on an answer. */
export function beatsBy(response: ServerResponse, stream: Beating): void {
  beating.set(response, stream);
}

/** Writes a comment on an answer, if the answer takes one and the moment is good. */
export function beat(response: ServerResponse): void {
  beating.get(response)?.beat();
}
