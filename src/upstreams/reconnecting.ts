import { UpstreamFailure } from "./failure.ts";

/** How a stream that was cut is picked up again for its answer, where the server gave its events ids. */
export const RESUMING = {
  initialReconnectionDelay: 500,
  maxReconnectionDelay: 10_000,
  reconnectionDelayGrowFactor: 2,
  maxRetries: 20,
};

/** Sooner than this after a cut, several server SDKs lose the stream. */
export const MIN_RECONNECT_DELAY_MS = 500;

/** A timer of more than 24 days goes off at once, and nobody waits half as long for an answer. */
const MAX_RECONNECT_DELAY_MS = 300_000;

/** How long to wait before a stream is opened again, whatever the server wants (`retry`). */
export function reconnectDelay(wantedMs: number): number {
  return Math.min(Math.max(wantedMs, MIN_RECONNECT_DELAY_MS), MAX_RECONNECT_DELAY_MS);
}

/** How transports reconnect by themselves. Returns how to call it off. */
export function reconnectLater(reconnect: () => void, delayMs: number): () => void {
  const timer = setTimeout(reconnect, reconnectDelay(delayMs));
  return () => clearTimeout(timer);
}

/** How long to wait before the next try, when so many have failed; in milliseconds. */
export function retryDelay(failures: number): number {
  const {
    initialReconnectionDelay: first,
    reconnectionDelayGrowFactor: factor,
    maxReconnectionDelay,
  } = RESUMING;
  return Math.min(first * factor ** (failures - 1), maxReconnectionDelay);
}

/** Whether the server will say the same again. */
export function isRefusal(error: unknown): error is UpstreamFailure {
  if (!(error instanceof UpstreamFailure)) return false;
  const { status } = error.facts;
  return status !== undefined && status < 500 && !isBusy(error);
}

/** Whether it is too early: an old stream may still be open from the server's point of view. */
export function isBusy(error: unknown): boolean {
  return error instanceof UpstreamFailure && (error.facts.status === 409 || error.facts.status === 429);
}

export function isEventStream(response: Response): boolean {
  return response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
}
