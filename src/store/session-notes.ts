import { createHash } from "node:crypto";
import type { Backend } from "./backend.ts";

/** Sessions of clients last hours. */
const KEEP_MS = 86_400_000;

/**
 * Which sessions belong to clients that know tasks, for all gateways on the store: a client says so only when it opens its session, and its
 * next request may come to another gateway. The id of a session may be a credential, so only its hash is in the key.
 */
export class SessionNotes {
  readonly #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** @throws StoreUnavailable */
  async note(session: string): Promise<void> {
    await this.#backend.set(keyOf(session), {}, KEEP_MS);
  }

  /** @throws StoreUnavailable */
  async has(session: string): Promise<boolean> {
    const [noted] = await this.#backend.getMany([keyOf(session)]);
    return noted !== undefined;
  }
}

const keyOf = (session: string) => `knows:${createHash("sha256").update(session).digest("base64url")}`;
