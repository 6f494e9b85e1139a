import { steadyNow } from "../../lib/clock.ts";
import { Silence } from "../../lib/silence.ts";
import { isTransportError } from "../../protocol/errors.ts";
import type { JsonObject, JsonRpcNotification, JsonRpcResponse } from "../../protocol/jsonrpc.ts";
import { ToolCatalogue } from "../catalogue.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";
import type { ServerDescription } from "./description.ts";
import type { RequestListener, Session, SessionHolder } from "./session.ts";
import type { SessionSource } from "./source.ts";

export type ChangeListener = (notification: JsonRpcNotification) => void;

export interface ControlSessionOptions {
  /** Makes the source of the session, from its holder and a function to call when the server has forgotten the session. */
  readonly source: (holder: SessionHolder, onLost: () => void) => SessionSource;
  /** Called when the last request that used the session ends. */
  readonly onIdle: () => void;
  /** How long the server may take for a list, a completion or a subscription. */
  readonly answerTimeoutMs: number;
  /** The caller's, for requests in a session that was opened without them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Called with the name of each tool that the server lists. */
  readonly onListed: (name: string) => void;
}

/** How long such a request may wait until the server has room for the session. */
const PATIENCE_MS = 60_000;
const MAX_REOPEN_DELAY_MS = 30_000;
const LIST_CHANGES = ["tools", "prompts", "resources"] as const;

/** A resource subscription, shared by all listeners. */
interface Subscription {
  users: number;
  /** The server's answer to the last `resources/subscribe` or `resources/unsubscribe`. */
  answered: Promise<JsonRpcResponse>;
}

/**
 * The shared session for one caller's lists, completions and subscriptions. As it is shared, the gateway cannot tell whom a question of the
 * server on it is for; as all of these requests may be repeated, the gateway opens it again when the server forgets it.
 */
export class ControlSession implements SessionHolder {
  /** The server's tools, as this caller sees them. */
  readonly tools: ToolCatalogue;
  readonly #options: ControlSessionOptions;
  readonly #source: SessionSource;
  readonly #listeners = new Set<ChangeListener>();
  readonly #subscriptions = new Map<string, Subscription>();
  #reopening: NodeJS.Timeout | undefined;
  /** The session that was used last. */
  #session: Session | undefined;
  /** The session whose changes the gateway hears. */
  #heard: Session | undefined;
  #stopHearing = () => {};
  /** How many requests use the session at the moment, or wait for it. */
  #users = 0;
  #isClosed = false;
  /** When it was last used, in milliseconds since the epoch. */
  lastUsed = steadyNow();

  constructor(options: ControlSessionOptions) {
    this.#options = options;
    this.tools = new ToolCatalogue((method, params) => this.ask(method, params), options.onListed);
    this.#source = options.source(this, () => this.#reopen(0));
  }

  get isListenedTo(): boolean {
    return this.#listeners.size > 0;
  }

  get isBusy(): boolean {
    return this.#users > 0;
  }

  /** @throws UpstreamFailure when the server cannot be reached */
  async describe(): Promise<ServerDescription> {
    return this.#use((session) => session.server);
  }

  /**
   * Begins to end the session to make room for others if no request uses it, and settles when it is gone. It is opened again when a request
   * needs it, or when the server has room and somebody listens.
   */
  giveUp(): Promise<void> | undefined {
    if (this.isBusy) return undefined;
    const gone = this.#source.giveUp();
    if (gone !== undefined) this.#reopen(0);
    return gone;
  }

  /**
   * Sends a request that may be sent twice: once more if the server has forgotten the session.
   * @throws UpstreamFailure
   */
  async ask(
    method: string,
    params?: JsonObject,
    { headers }: Pick<RequestListener, "headers"> = {},
  ): Promise<JsonRpcResponse> {
    const how = { headers: { ...this.#options.headers, ...headers } };
    let isGone = false;
    const attempt = () =>
      this.#use((session) =>
        answerInTime(session, { method, params, how, ms: this.#options.answerTimeoutMs }).catch(
          (error: unknown) => {
            // Another request may have found out first that the session is gone, and ended it under this one.
            isGone = !session.isUsable || isForgotten(toFailure(error));
            if (isGone) void session.close();
            throw error;
          },
        ),
      );
    return attempt().catch((error: unknown) => {
      if (!isGone) throw error;
      return attempt();
    });
  }

  /** Calls the listener with the server's notifications until the returned function is called. */
  listen(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    if (this.#session !== undefined) this.#attend(this.#session);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#stopHearing();
      this.#heard = undefined;
    };
  }

  /** Subscribes to a resource, with one request to the server for all subscribers. @throws UpstreamFailure */
  async subscribe(uri: string): Promise<JsonRpcResponse> {
    const subscription = this.#subscriptions.get(uri) ?? { users: 0, answered: UNASKED };
    this.#subscriptions.set(uri, subscription);
    if (subscription.users === 0) this.#next(subscription, "resources/subscribe", uri);
    subscription.users += 1;
    const response = await subscription.answered.catch((error: unknown) => {
      this.#leave(uri, subscription);
      throw error;
    });
    if ("error" in response) this.#leave(uri, subscription);
    return response;
  }

  /** Unsubscribes at the server when the last subscriber leaves. */
  async unsubscribe(uri: string): Promise<void> {
    const subscription = this.#subscriptions.get(uri);
    if (subscription === undefined) return;
    if (subscription.users === 1) this.#next(subscription, "resources/unsubscribe", uri);
    subscription.users -= 1;
    await subscription.answered.catch(() => {});
    if (subscription.users === 0) this.#subscriptions.delete(uri);
  }

  /** The gateway cannot tell whom a question on this session is for, but the server may ask any caller elsewhere. */
  readonly cannotAnswer = true;

  onRequest(): void {}

  onNotification(notification: JsonRpcNotification): void {
    if (notification.method === "notifications/tools/list_changed") this.tools.invalidate();
    for (const listener of this.#listeners) listener(notification);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#reopening);
    this.#listeners.clear();
    this.#stopHearing();
    await this.#source.close();
  }

  async #use<T>(work: (session: Session) => T | Promise<T>, patienceMs = PATIENCE_MS): Promise<T> {
    this.#users += 1;
    try {
      return await this.#source.use((session) => {
        this.#session = session;
        this.#attend(session);
        return work(session);
      }, patienceMs);
    } finally {
      this.#users -= 1;
      this.lastUsed = steadyNow();
      if (this.#users === 0) this.#options.onIdle();
    }
  }

  #attend(session: Session): void {
    if (!this.isListenedTo || this.#heard === session || !session.isUsable) return;
    this.#stopHearing();
    this.#heard = session;
    this.#stopHearing = session.hearChanges();
  }

  /** Opens the session again while somebody listens: no notification would come on one that is gone. */
  #reopen(attempt: number): void {
    if (this.#isClosed || !this.isListenedTo) return;
    const delay = Math.min(1_000 * 2 ** attempt, MAX_REOPEN_DELAY_MS);
    clearTimeout(this.#reopening);
    this.#reopening = setTimeout(() => {
      this.#resubscribe().catch(() => this.#reopen(attempt + 1));
    }, delay);
  }

  /** Changes in the meantime are unknown, so it reports all lists and resources as changed. */
  async #resubscribe(): Promise<void> {
    // Patience 0: requests come first, a listener only takes room that nobody waits for.
    const { capabilities } = await this.#use((session) => session.server, 0);
    const wanted = [...this.#subscriptions].filter(([, { users }]) => users > 0).map(([uri]) => uri);
    for (const uri of wanted) await this.ask("resources/subscribe", { uri });
    const missed = LIST_CHANGES.filter((list) => capabilities[list] !== undefined).map((list) => ({
      method: `notifications/${list}/list_changed`,
    }));
    const updated = wanted.map((uri) => ({
      method: "notifications/resources/updated",
      params: { uri },
    }));
    for (const notification of [...missed, ...updated])
      this.onNotification({ jsonrpc: "2.0", ...notification });
  }

  /** Sends them one after the other: the server must not receive a new subscribe before the unsubscribe that precedes it. */
  #next(subscription: Subscription, method: string, uri: string): void {
    subscription.answered = subscription.answered.catch(() => {}).then(() => this.ask(method, { uri }));
  }

  #leave(uri: string, subscription: Subscription): void {
    subscription.users -= 1;
    if (subscription.users === 0) this.#subscriptions.delete(uri);
  }
}

const UNASKED = Promise.resolve<JsonRpcResponse>({ jsonrpc: "2.0", id: 0, result: {} });

interface Question {
  readonly method: string;
  readonly params: JsonObject | undefined;
  readonly how: Pick<RequestListener, "headers">;
  readonly ms: number;
}

/** The answer, unless the server neither answers nor reports progress for `ms`. @throws UpstreamFailure */
async function answerInTime(
  session: Session,
  { method, params, how, ms }: Question,
): Promise<JsonRpcResponse> {
  let refuse = (_: UpstreamFailure) => {};
  const refused = new Promise<never>((_, reject) => {
    refuse = reject;
  });
  const silence = new Silence(ms, () => {
    request.cancel("timed out");
    const late = `The server did not answer ${method} within ${ms} ms (startTimeout)`;
    const hint = "if it mixes up its sessions, it needs sessions: single";
    refuse(new UpstreamFailure(`${late} (${hint})`, { mayHaveRun: true }));
  });
  const request = session.request(method, params, { ...how, onProgress: () => silence.heard() });
  silence.listen();
  try {
    return await Promise.race([request.response, refused]);
  } finally {
    silence.stop();
    // The answer may still come or fail; nobody waits for it.
    request.response.catch(() => {});
  }
}

/** Whether the server has forgotten the session: servers say so with 404, some with 400 (2025-11-25, Transports §Session Management). */
export function isForgotten({ facts: { status, rpcError } }: UpstreamFailure): boolean {
  return (status === 404 || status === 400) && (rpcError === undefined || isTransportError(rpcError));
}
