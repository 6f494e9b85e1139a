import { Silence } from "../ops/silence.ts";
import { isTransportError } from "../protocol/errors.ts";
import type { JsonObject, JsonRpcNotification, JsonRpcResponse } from "../protocol/jsonrpc.ts";
import { ToolCatalogue } from "./catalogue.ts";
import type { ServerDescription } from "./description.ts";
import { toFailure, UpstreamFailure } from "./failure.ts";
import type { RequestListener, Session, SessionHolder } from "./session.ts";
import type { SessionSource } from "./source.ts";

export type ChangeListener = (notification: JsonRpcNotification) => void;

/** How long the server may take for a list, a completion or a subscription, unless it is said otherwise. Most clients wait for 60 s. */
const ANSWER_TIMEOUT_MS = 50_000;
/** How long any of that may wait until the server has room for the session. */
const PATIENCE_MS = 60_000;
const MAX_REOPEN_DELAY_MS = 30_000;
const LIST_CHANGES = ["tools", "prompts", "resources"] as const;

/** A resource that is followed for those who listen. */
interface Subscription {
  users: number;
  /** What the server said to the last `resources/subscribe` or `resources/unsubscribe`. */
  answered: Promise<JsonRpcResponse>;
}

/**
 * The session on which a caller's lists, completions and subscriptions are answered. It is shared, so that nothing the
 * server asks on it can be anybody's; and it is opened again when the server forgets it, since all of this may be repeated.
 */
export class ControlSession implements SessionHolder {
  /** What is known of the server's tools, as this caller sees them. */
  readonly tools = new ToolCatalogue((method, params) => this.ask(method, params));
  readonly #source: SessionSource;
  readonly #onIdle: () => void;
  readonly #answerTimeoutMs: number;
  readonly #listeners = new Set<ChangeListener>();
  readonly #subscriptions = new Map<string, Subscription>();
  #reopening: NodeJS.Timeout | undefined;
  /** The one that was used last. */
  #session: Session | undefined;
  /** The one whose changes are heard. */
  #heard: Session | undefined;
  #stopHearing = () => {};
  /** How many are using the session at the moment, or wait for it. */
  #users = 0;
  #isClosed = false;
  /** When it was last of use, in milliseconds since the epoch. */
  lastUsed = Date.now();

  /**
   * `source` is given whom it is for, and what to call when the server has forgotten its session; `onIdle` is called when
   * nobody uses it any more.
   */
  constructor(
    source: (holder: SessionHolder, onLost: () => void) => SessionSource,
    onIdle: () => void = () => {},
    answerTimeoutMs = ANSWER_TIMEOUT_MS,
  ) {
    this.#answerTimeoutMs = answerTimeoutMs;
    this.#source = source(this, () => this.#reopen(0));
    this.#onIdle = onIdle;
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
   * Begins to end the session in favour of others, if nobody uses it, and settles when it is gone. It is opened again when it
   * is needed, or when there is room and somebody listens.
   */
  giveUp(): Promise<void> | undefined {
    if (this.isBusy) return undefined;
    const gone = this.#source.giveUp();
    if (gone !== undefined) this.#reopen(0);
    return gone;
  }

  /**
   * Asks something that may be asked twice.
   * @throws UpstreamFailure
   */
  async ask(
    method: string,
    params?: JsonObject,
    how: Pick<RequestListener, "headers"> = {},
  ): Promise<JsonRpcResponse> {
    let isGone = false;
    const attempt = () =>
      this.#use((session) =>
        answerInTime(session, { method, params, how, ms: this.#answerTimeoutMs }).catch((error: unknown) => {
          // Somebody else may have found out first that the session is gone, and have ended it under us.
          isGone = !session.isUsable || isForgotten(toFailure(error));
          if (isGone) void session.close();
          throw error;
        }),
      );
    return attempt().catch((error: unknown) => {
      if (!isGone) throw error;
      return attempt();
    });
  }

  /** Hears what changes on the server, until the returned function is called. */
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

  /** Subscribes to a resource, once for all who want it. @throws UpstreamFailure */
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

  /** Nothing is told about the resource any more when the last who wanted it has left. */
  async unsubscribe(uri: string): Promise<void> {
    const subscription = this.#subscriptions.get(uri);
    if (subscription === undefined) return;
    if (subscription.users === 1) this.#next(subscription, "resources/unsubscribe", uri);
    subscription.users -= 1;
    await subscription.answered.catch(() => {});
    if (subscription.users === 0) this.#subscriptions.delete(uri);
  }

  /** Nothing that the server asks here can be anybody's, but it may ask everybody. */
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
      this.lastUsed = Date.now();
      if (this.#users === 0) this.#onIdle();
    }
  }

  #attend(session: Session): void {
    if (!this.isListenedTo || this.#heard === session || !session.isUsable) return;
    this.#stopHearing();
    this.#heard = session;
    this.#stopHearing = session.hearChanges();
  }

  /** Whoever listens must not be left waiting on a session that is gone. */
  #reopen(attempt: number): void {
    if (this.#isClosed || !this.isListenedTo) return;
    const delay = Math.min(1_000 * 2 ** attempt, MAX_REOPEN_DELAY_MS);
    clearTimeout(this.#reopening);
    this.#reopening = setTimeout(() => {
      this.#resubscribe().catch(() => this.#reopen(attempt + 1));
    }, delay);
  }

  /** What changed meanwhile is not known, so everything may have. */
  async #resubscribe(): Promise<void> {
    // Those who ask for something come first: a listener takes only what nobody has.
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

  /** One after the other: the server must not hear that a resource is wanted before it hears that it was not. */
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

/** The answer, unless the server says nothing for so long. */
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
    // It may still come, or fail to: nobody waits for it.
    request.response.catch(() => {});
  }
}

/** Servers say with 404 that they do not know a session, and some with 400 (2025-11-25, Transports §Session Management). */
export function isForgotten({ facts: { status, rpcError } }: UpstreamFailure): boolean {
  return (status === 404 || status === 400) && (rpcError === undefined || isTransportError(rpcError));
}
