/** A subscription, message by message. */

import { onTestFinished } from "vitest";
import type { Json, ModernClient } from "./modern-client.ts";

export interface Listening {
  /** The next message; `undefined` when there is none any more. */
  next(): Promise<Json>;
  leave(): void;
}

/** Listens until the test ends. */
export function listen(user: ModernClient, notifications: object, id: string | number = 1): Listening {
  const leaving = new AbortController();
  onTestFinished(() => leaving.abort());
  const stream = user.stream("subscriptions/listen", { notifications }, { id, signal: leaving.signal });
  return {
    next: async () => (await stream.next()).value,
    leave: () => leaving.abort(),
  };
}
