import { isEventStream as isOfEvents } from "../../protocol/headers.ts";
import { UpstreamFailure } from "../failure.ts";

/** How to resume a stream that was cut before its answer, where the server gave its events ids. */
export const RESUMING = {
  initialReconnectionDelay: 500,
  maxReconnectionDelay: 10_000,
  reconnectionDelayGrowFactor: 2,
  maxRetries: 20,
};

/** Several server SDKs lose a stream that is resumed sooner than this. */
export const MIN_RECONNECT_DELAY_MS = 500;

/** A timer of more than 24 days fires at once, and no client waits half as long for an answer. */
const MAX_RECONNECT_DELAY_MS = 300_000;

/** How long to wait before opening a stream again: the server's wish (`retry`) within limits. In milliseconds. */
export function reconnectDelay(wantedMs: number): number {
  return Math.min(Math.max(wantedMs, MIN_RECONNECT_DELAY_MS), MAX_RECONNECT_DELAY_MS);
}

/** The scheduler with which transports reconnect by themselves. Returns a function that calls it off. */
export function reconnectLater(reconnect: () => void, delayMs: number): () => void {
  const timer = setTimeout(reconnect, reconnectDelay(delayMs));
  return () => clearTimeout(timer);
}

/** How long to wait before the next attempt after so many failures; in milliseconds. */
export function retryDelay(failures: number): number {
  const {
    initialReconnectionDelay: first,
    reconnectionDelayGrowFactor: factor,
    maxReconnectionDelay,
  } = RESUMING;
  return Math.min(first * factor ** (failures - 1), maxReconnectionDelay);
}

/** Whether the server would refuse again. */
export function isRefusal(error: unknown): error is UpstreamFailure {
  if (!(error instanceof UpstreamFailure)) return false;
  const { status } = error.facts;
  return status !== undefined && status < 500 && !isBusy(error);
}

/** Whether it is too early to reconnect: the server may still consider an old stream open. */
export function isBusy(error: unknown): boolean {
  return error instanceof UpstreamFailure && (error.facts.status === 409 || error.facts.status === 429);
}

export function isEventStream(response: Response): boolean {
  return isOfEvents(response.headers.get("content-type") ?? undefined);
}
