import { toFailure } from "../failure.ts";
import type { UpstreamExchange } from "./exchange.ts";
import { EVENT_STREAM } from "./exchange.ts";
import { type LegacyContext, readMessages } from "./legacy-exchange.ts";
import { isBusy, isRefusal, MAX_RETRIES, noStream, Pause, reconnectDelay } from "./reconnecting.ts";

export interface ServerStreamOptions extends Pick<LegacyContext, "get" | "receive" | "onGarbage"> {
  /** Whether to wait until the server gives up the stream that another connection had. */
  readonly waitsForOthers: boolean;
  /** Called when the server refuses to open the stream again. */
  readonly onRefused: () => void;
}

/**
 * The stream for a server's own messages (2025-11-25, Transports §Listening for Messages from the Server), which is opened again until it
 * is closed. A server need not have one.
 */
export class ServerStream {
  /** Resolves when the stream is open for the first time, or cannot be opened. */
  readonly begun: Promise<void>;
  readonly #options: ServerStreamOptions;
  readonly #pause = new Pause();
  #exchange: UpstreamExchange | undefined;
  #onBegun = () => {};
  #isOpen = false;
  #isClosed = false;
  #lastEventId: string | undefined;
  #retryMs: number | undefined;

  constructor(options: ServerStreamOptions) {
    this.#options = options;
    this.begun = new Promise((resolve) => {
      this.#onBegun = resolve;
    });
    void this.#listen().finally(() => {
      // A refusal keeps the whole exchange, and its stack, alive; the session may last for hours.
      this.#exchange = undefined;
      this.#isOpen = false;
      this.#onBegun();
    });
  }

  /** Whether the server has opened the stream, and has not refused to open it again. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  close(): void {
    this.#isClosed = true;
    this.#pause.end();
    this.#exchange?.close();
  }

  /** Never rejects. */
  async #listen(): Promise<void> {
    const { waitsForOthers, onRefused, onGarbage } = this.#options;
    for (let attempts = 0; !this.#isClosed; attempts += 1) {
      try {
        await this.#connection();
        attempts = 0;
      } catch (error) {
        if (this.#isClosed) return;
        const failure = toFailure(error);
        // The server says that it has no such stream.
        if (failure.facts.status === 405) return;
        onGarbage(failure);
        const wasOpen = this.#isOpen;
        if (isRefusal(failure)) return void (wasOpen && onRefused());
        if (!wasOpen && !(waitsForOthers && isBusy(failure) && attempts < MAX_RETRIES)) return;
      }
      if (!this.#isClosed) await this.#pause.for(reconnectDelay(attempts, this.#retryMs));
    }
  }

  /** Listens on one connection until it ends. @throws UpstreamFailure when no stream could be opened */
  async #connection(): Promise<void> {
    const { get, receive, onGarbage } = this.#options;
    const exchange = get(
      {
        onHead: ({ type }) => {
          if (type !== EVENT_STREAM) return;
          this.#isOpen = true;
          this.#onBegun();
        },
        onEvent: (event) => {
          if (event.id) this.#lastEventId = event.id;
          readMessages(event, (message) => receive(message, "aside"), onGarbage);
        },
        onRetry: (ms) => {
          this.#retryMs = ms;
        },
      },
      this.#lastEventId,
    );
    this.#exchange = exchange;
    try {
      const { type, status } = await exchange.ended;
      if (type !== EVENT_STREAM) throw noStream(status);
    } catch (error) {
      if (!exchange.isCut) throw error;
    }
  }
}
