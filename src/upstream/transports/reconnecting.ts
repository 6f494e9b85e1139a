import { UpstreamFailure } from "../failure.ts";

/** Several server SDKs lose a stream that is resumed sooner than this. */
const MIN_DELAY_MS = 500;
/** How long to wait at most unless the server says more. */
const MAX_DELAY_MS = 10_000;
/** A timer of more than 24 days fires at once, and no client waits half as long for an answer. */
const MAX_WANTED_MS = 300_000;
/** How often in a row to try a server that is too busy, or may still consider an old stream open. */
export const MAX_RETRIES = 20;
/** How often in a row to try a server that cannot be reached: for about a minute. One that keeps its sessions elsewhere may be back by then. */
export const MAX_UNREACHED = 9;

/**
 * How long to wait before opening a stream again, in milliseconds.
 * @param attempts how many there were since a stream was open
 * @param wantedMs the server's wish (`retry`), which counts within limits
 */
export function reconnectDelay(attempts: number, wantedMs?: number): number {
  const usualMs = Math.min(MIN_DELAY_MS * 2 ** attempts, MAX_DELAY_MS);
  return Math.min(Math.max(wantedMs ?? usualMs, MIN_DELAY_MS), MAX_WANTED_MS);
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

/** The server answered a GET, but not with a stream to listen to. */
export function noStream(status: number): UpstreamFailure {
  const message = `The server answered HTTP ${status} and opened no event stream`;
  return new UpstreamFailure(message, { mayHaveRun: true, status });
}

/** A wait that can be ended, for one user at a time. */
export class Pause {
  #end = () => {};

  for(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#end = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  end(): void {
    this.#end();
  }
}
