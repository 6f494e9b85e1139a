import { within } from "../../lib/within.ts";
import {
  isObject,
  type JsonObject,
  type JsonRpcNotification,
  type JsonRpcResponse,
} from "../../protocol/jsonrpc.ts";
import { META } from "../../protocol/modern.ts";
import { toFailure } from "../failure.ts";
import { isRefusal, Pause, reconnectDelay } from "../transports/reconnecting.ts";

export interface ChangeStreamOptions {
  /** Sends `subscriptions/listen` with this filter. Aborting the signal ends the subscription. @throws UpstreamFailure */
  readonly listen: (
    notifications: JsonObject,
    signal: AbortSignal,
    onNotification: (notification: JsonRpcNotification) => void,
  ) => Promise<JsonRpcResponse>;
  /** The lists whose changes are wanted, as the filter has them. */
  readonly lists: JsonObject;
  /** Tells of a change, as older revisions do. */
  readonly tell: (notification: JsonRpcNotification) => void;
  readonly onGarbage: (error: Error) => void;
}

/** How long a server may take to acknowledge a subscription before nobody waits for that any more. */
const PATIENCE_MS = 5_000;
const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
/** What tells that a list has changed, by the member of the filter that asks for it. */
const CHANGED: Readonly<Record<string, string>> = {
  toolsListChanged: "notifications/tools/list_changed",
  promptsListChanged: "notifications/prompts/list_changed",
  resourcesListChanged: "notifications/resources/list_changed",
};

/** The filter members for the lists that a server says it tells the changes of. */
export function changingLists({ tools, prompts, resources }: JsonObject): JsonObject {
  const tells = (what: unknown) => isObject(what) && what.listChanged === true;
  return {
    ...(tells(tools) ? { toolsListChanged: true } : {}),
    ...(tells(prompts) ? { promptsListChanged: true } : {}),
    ...(tells(resources) ? { resourcesListChanged: true } : {}),
  };
}

/**
 * What one session hears of a server's changes. In 2026-07-28 a subscription has one filter from its beginning to its end, so there is
 * another one when more resources are wanted, or fewer.
 */
export class ChangeStream {
  readonly #options: ChangeStreamOptions;
  #uris: ReadonlySet<string> = new Set();
  #subscription: Subscription | undefined;
  /** Settles when the last subscription that was begun is made. */
  #last: Promise<void> = Promise.resolve();
  /** The one after that, which is for all that want something meanwhile. */
  #next: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: ChangeStreamOptions) {
    this.#options = options;
  }

  /**
   * Listens to the lists, and to these resources. Settles when the server has acknowledged that or refused it, or does not say. Never
   * rejects.
   */
  want(uris: ReadonlySet<string>): Promise<void> {
    this.#uris = uris;
    this.#next ??= this.#last.then(() => {
      this.#next = undefined;
      this.#last = this.#renew();
      return this.#last;
    });
    return this.#next;
  }

  close(): void {
    this.#isClosed = true;
    this.#subscription?.close();
  }

  async #renew(): Promise<void> {
    if (this.#isClosed) return;
    const older = this.#subscription;
    const { lists } = this.#options;
    const filter = this.#uris.size === 0 ? lists : { ...lists, resourceSubscriptions: [...this.#uris] };
    this.#subscription =
      Object.keys(filter).length === 0 ? undefined : new Subscription(filter, this.#options);
    if (this.#subscription !== undefined) await within(PATIENCE_MS, this.#subscription.begun);
    older?.close();
  }
}

/** One subscription, which is made again when it breaks. */
class Subscription {
  /** Resolves when the server has acknowledged it, or has refused it. */
  readonly begun: Promise<void>;
  readonly #filter: JsonObject;
  readonly #options: ChangeStreamOptions;
  readonly #over = new AbortController();
  readonly #pause = new Pause();
  #onBegun = () => {};

  constructor(filter: JsonObject, options: ChangeStreamOptions) {
    this.#filter = filter;
    this.#options = options;
    this.begun = new Promise((resolve) => {
      this.#onBegun = resolve;
    });
    void this.#listen().finally(this.#onBegun);
  }

  close(): void {
    this.#over.abort();
    this.#pause.end();
  }

  /** Never rejects. */
  async #listen(): Promise<void> {
    const { signal } = this.#over;
    for (let attempts = 0, isFirst = true; !signal.aborted; attempts += 1) {
      let isAcknowledged = false;
      const hear = (notification: JsonRpcNotification) => {
        if (signal.aborted) return;
        if (notification.method !== ACKNOWLEDGED)
          return this.#options.tell(withoutSubscription(notification));
        isAcknowledged = true;
        attempts = 0;
        this.#onBegun();
        if (!isFirst) this.#tellOfAll();
        isFirst = false;
      };
      try {
        const response = await this.#options.listen(this.#filter, signal, hear);
        if ("error" in response && !isAcknowledged) return;
      } catch (error) {
        if (signal.aborted) return;
        const failure = toFailure(error);
        this.#options.onGarbage(failure);
        if (isRefusal(failure) && !isAcknowledged) return;
      }
      if (!signal.aborted) await this.#pause.for(reconnectDelay(attempts));
    }
  }

  /** Nobody knows what has changed while there was no subscription. */
  #tellOfAll(): void {
    for (const [member, method] of Object.entries(CHANGED))
      if (this.#filter[member] === true) this.#options.tell({ jsonrpc: "2.0", method });
  }
}

function withoutSubscription(notification: JsonRpcNotification): JsonRpcNotification {
  const { params = {}, ...rest } = notification;
  const { _meta, ...others } = params;
  if (!isObject(_meta)) return notification;
  const { [META.subscriptionId]: _, ...meta } = _meta;
  return { ...rest, params: Object.keys(meta).length === 0 ? others : { ...others, _meta: meta } };
}
