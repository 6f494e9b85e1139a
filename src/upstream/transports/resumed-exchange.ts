import type { FetchLike, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import type { RequestId } from "../../protocol/jsonrpc.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";
import { EventLog, type ExchangeContext } from "./exchange.ts";
import {
  isBusy,
  isEventStream,
  isRefusal,
  MIN_RECONNECT_DELAY_MS,
  RESUMING,
  reconnectDelay,
  retryDelay,
} from "./reconnecting.ts";
import type { AskListener } from "./transport.ts";

/** A stream that stays silent from its beginning for this long is opened again: some servers lose one that is opened too early. */
const SILENCE_MS = 5_000;
/** How often in a row to try a server that cannot be reached, or is out of order. */
const MAX_FAILURES = 3;
/** The transport reports when to reconnect, and never reconnects by itself. */
const TELLING = { ...RESUMING, maxRetries: Number.POSITIVE_INFINITY };

/**
 * Listens for the rest of a request that another connection sent: what the server has said since an event, and what it will say (2025-11-25,
 * Transports §Resumability and Redelivery).
 */
export class ResumedExchange {
  readonly #context: ExchangeContext;
  readonly #answerTo: RequestId;
  readonly #listener: AskListener;
  readonly #log: EventLog;
  /** Ends the present wait. */
  #interrupt: (failure?: UpstreamFailure) => void = () => {};
  #transport: StreamableHTTPClientTransport | undefined;
  #isOver = false;

  constructor(context: ExchangeContext, answerTo: RequestId, lastEventId: string, listener: AskListener) {
    this.#context = context;
    this.#answerTo = answerTo;
    this.#listener = listener;
    this.#log = new EventLog(context, answerTo, listener);
    this.#log.lastEventId = lastEventId;
    this.#log.isResumed = true;
  }

  /** Listens until it is stopped, on one connection after another. */
  async listen(): Promise<void> {
    let isPatient = false;
    let failures = 0;
    while (!this.#isOver) {
      let delayMs: number;
      try {
        delayMs = await this.#connection(isPatient);
        isPatient = true;
        failures = 0;
      } catch (error) {
        if (this.#isOver) throw error;
        failures += 1;
        const isHopeless =
          isRefusal(error) || failures > (isBusy(error) ? RESUMING.maxRetries : MAX_FAILURES);
        if (isHopeless) throw unresumed(toFailure(error));
        delayMs = retryDelay(failures);
      } finally {
        await this.#transport?.close();
      }
      if (!this.#isOver) await this.#pause(delayMs);
    }
  }

  stop(): void {
    this.#isOver = true;
    this.#interrupt();
  }

  async close(): Promise<void> {
    this.stop();
    await this.#transport?.close();
  }

  /**
   * Listens on one connection until it ends, or until it has been silent from its beginning for `SILENCE_MS`, unless `isPatient`. Resolves
   * with how long to wait before the next connection, in milliseconds. @throws UpstreamFailure
   */
  async #connection(isPatient: boolean): Promise<number> {
    let timer: NodeJS.Timeout | undefined;
    let isOver = false;
    const ended = new Promise<number>((resolve, reject) => {
      const endAfter = (ms: number, delayMs: number) => {
        clearTimeout(timer);
        if (!isOver) timer = setTimeout(() => resolve(delayMs), ms);
      };
      this.#interrupt = (failure) => (failure === undefined ? resolve(0) : reject(failure));
      const onOpen = () => {
        if (!isPatient) endAfter(SILENCE_MS, MIN_RECONNECT_DELAY_MS);
      };
      const scheduler = (_: () => void, delayMs: number) => {
        resolve(reconnectDelay(delayMs));
        return () => {};
      };
      const onBytes = () => clearTimeout(timer);
      // The transport reports when to reconnect, unless another answer came on the stream, which it takes for the last message.
      const onEnd = () => endAfter(MIN_RECONNECT_DELAY_MS, 0);
      const fetch = this.#fetcher({ onOpen, onBytes, onEnd });
      this.#open(this.#context.transport(fetch, { options: TELLING, scheduler })).catch(reject);
    });
    try {
      return await ended;
    } finally {
      isOver = true;
      clearTimeout(timer);
    }
  }

  async #open(transport: StreamableHTTPClientTransport): Promise<void> {
    this.#transport = transport;
    transport.onmessage = (message) => {
      if (!this.#isOver) this.#log.receive(message);
    };
    await transport.start();
    await transport.resumeStream(this.#log.lastEventId as string, { onresumptiontoken: this.#log.note });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #fetcher({ onOpen, ...hears }: StreamListener & { readonly onOpen: () => void }): FetchLike {
    const onOverflow = (failure: UpstreamFailure) => {
      this.#isOver = true;
      this.#interrupt(failure);
    };
    const { answers } = this.#log;
    const expected = { answerTo: this.#answerTo, onAccepted: () => {}, onOverflow, answers };
    return async (url, init) => {
      const response = await this.#context.fetch(url, init, expected);
      const { ok, status, body } = response;
      if (!ok || body === null || !isEventStream(response)) throw noStream(status);
      this.#listener.onAccepted?.();
      onOpen();
      return new Response(watched(body, hears), { status, headers: response.headers });
    };
  }
}

interface StreamListener {
  onBytes(): void;
  /** The stream has ended, or was cut. */
  onEnd(): void;
}

function watched(
  body: ReadableStream<Uint8Array>,
  { onBytes, onEnd }: StreamListener,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            onBytes();
            return controller.enqueue(value);
          }
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        onEnd();
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** The message gives the cause only; the caller adds that the answer could not be resumed. */
function unresumed(cause: UpstreamFailure): UpstreamFailure {
  const { status, wwwAuthenticate } = cause.facts;
  return new UpstreamFailure(cause.message, {
    mayHaveRun: true,
    ...(status === undefined ? {} : { status }),
    ...(wwwAuthenticate === undefined ? {} : { wwwAuthenticate }),
    cause,
  });
}

function noStream(status: number): UpstreamFailure {
  const message = `The server answered HTTP ${status} and opened no event stream`;
  return new UpstreamFailure(message, { mayHaveRun: true, status });
}
