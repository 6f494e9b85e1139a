import { AsyncLocalStorage } from "node:async_hooks";
import { setMaxListeners } from "node:events";
import { type JSONRPCMessage, SSEClientTransport, SseError } from "@modelcontextprotocol/client";
import type { JsonRpcMessage, JsonRpcRequest } from "../../protocol/jsonrpc.ts";
import { messageText } from "../../protocol/raw-json.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";
import { inTime } from "../in-time.ts";
import { AnswersPast } from "./answers-past.ts";
import type { UpstreamFetch } from "./fetch.ts";
import { type Asking, type AskListener, INITIALIZED, type TransportWire } from "./transport.ts";
import { UnusableAnswer } from "./unusable-answer.ts";

export interface SseOptions {
  /** The URL of the event stream; the server says where to post messages, on the same origin. */
  readonly url: URL;
  /** Headers for every request: the configured ones, and those that carry the caller's credentials. */
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: UpstreamFetch;
  /** How long the server may take to name its endpoint for messages, and later to accept `notifications/initialized`; 10 s unless given. */
  readonly openingMs?: number;
  /** Called with the path of each POST. */
  readonly onPost?: (path: string) => void;
}

const OPENING_MS = 10_000;

/**
 * A session over HTTP+SSE (2024-11-05, Transports §HTTP with SSE), on the SDK's transport. The session lives as long as its one event
 * stream, on which everything arrives, and cannot be resumed.
 */
export class SseWire implements TransportWire {
  onMessage: TransportWire["onMessage"] = () => {};
  onUnusable: TransportWire["onUnusable"] = () => {};
  onGarbage: TransportWire["onGarbage"] = () => {};
  onLost: TransportWire["onLost"] = () => {};

  /** Headers of the message that is being sent: the transport knows those of the session only. */
  readonly #own = new AsyncLocalStorage<AskListener["headers"]>();
  readonly #transport: SSEClientTransport;
  readonly #fetch: UpstreamFetch;
  readonly #answers = new AnswersPast();
  readonly #openingMs: number;
  readonly #onPost: (path: string) => void;
  /** Aborted, with the failure that says why, when nothing can arrive any more. */
  readonly #life = new AbortController();
  /** How to fail each open request. */
  readonly #asked = new Set<(failure: UpstreamFailure) => void>();
  /** Texts that are being sent, by the stub that the transport sends for each. */
  readonly #texts = new Map<string, string>();
  #lastSent = 0;
  #opening: Promise<void> | undefined;
  #isInitialized = false;
  #complaint: Error | undefined;

  /** Connects when the first message is sent. */
  constructor({ url, headers, fetch, openingMs = OPENING_MS, onPost = () => {} }: SseOptions) {
    this.#onPost = onPost;
    this.#openingMs = openingMs;
    this.#fetch = fetch;
    // Every message that is being sent listens to the signal.
    setMaxListeners(0, this.#life.signal);
    this.#transport = new SSEClientTransport(url, {
      requestInit: { headers: { ...headers } },
      fetch: (target, init) => this.#request(target, init),
    });
    this.#transport.onmessage = (message) => {
      const real = this.#answers.real(message as JsonRpcMessage);
      if (real instanceof UnusableAnswer) this.onUnusable(real);
      else this.onMessage(real);
    };
    this.#transport.onerror = (error) => this.#complain(error);
    // By itself the transport closes only when the server named an endpoint on another origin, and it has just reported that as an error.
    this.#transport.onclose = () => this.#break(misled(this.#complaint));
  }

  setProtocolVersion(version: string): void {
    this.#isInitialized = true;
    this.#transport.setProtocolVersion(version);
  }

  tell(message: JsonRpcMessage): Promise<void> {
    return this.#send(message);
  }

  ask(request: JsonRpcRequest, { headers, onAccepted = () => {} }: AskListener = {}): Asking {
    let stop = () => {};
    const ended = new Promise<void>((resolve, reject) => {
      this.#asked.add(reject);
      stop = () => {
        this.#asked.delete(reject);
        resolve();
      };
      // The answer may overtake the acknowledgement, which then does not matter.
      this.#own
        .run(headers, () => this.#send(request))
        .then(() => this.#asked.has(reject) && onAccepted(), reject);
    });
    return { ended, stop };
  }

  async initialized(notification = INITIALIZED): Promise<void> {
    const told = this.tell(notification);
    await inTime(this.#openingMs, told, () => late("take notifications/initialized", this.#openingMs));
  }

  async close(): Promise<void> {
    this.#end(new UpstreamFailure("The session with the server was closed", { mayHaveRun: true }));
    await this.#transport.close();
  }

  async #send(message: JsonRpcMessage): Promise<void> {
    const { signal } = this.#life;
    if (signal.aborted) throw unsent(signal.reason as UpstreamFailure);
    this.#opening ??= this.#open();
    await this.#opening;
    // The transport would serialize text again: it gets a stub that names the message, and `#request` replaces the stub by the text.
    const text = messageText(message);
    this.#lastSent += 1;
    const name: JSONRPCMessage = { jsonrpc: "2.0", method: `message ${this.#lastSent}` };
    const body = JSON.stringify(name);
    this.#texts.set(body, text);
    await this.#transport
      .send(name)
      .catch((error: unknown) => {
        throw toFailure(error);
      })
      .finally(() => this.#texts.delete(body));
  }

  /** Waits for the event that names the endpoint for messages. Rejects with the failure that ends the session before. */
  async #open(): Promise<void> {
    const { signal } = this.#life;
    const tooLate = () => this.#break(late("name its endpoint for messages", this.#openingMs));
    const timer = setTimeout(tooLate, this.#openingMs);
    try {
      await new Promise<void>((resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        this.#transport.start().then(resolve, reject);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  async #request(url: string | URL, given: RequestInit | undefined): Promise<Response> {
    // The transport's own signal does not reach a stream that the transport has given up.
    const init = { ...given, signal: this.#life.signal };
    if (init.method === "POST") {
      this.#onPost(new URL(url).pathname);
      const headers = { ...this.#own.getStore(), ...Object.fromEntries(new Headers(init.headers)) };
      return this.#fetch(url, { ...init, headers, body: this.#texts.get(String(init.body)) ?? null });
    }
    try {
      const expected = {
        answerTo: "",
        onAccepted: () => {},
        onOverflow: (failure: UpstreamFailure) => this.#break(failure),
        answers: this.#answers,
      };
      return asEventStream(await this.#fetch(url, init, expected));
    } catch (error) {
      this.#break(toFailure(error));
      throw error;
    }
  }

  #complain(error: Error): void {
    this.#complaint = error;
    if (error instanceof SseError) this.#break(dropped(error, this.#isInitialized));
    // The sender of a message hears of its failure.
    else if (!(error instanceof UpstreamFailure)) this.onGarbage(error);
  }

  /** Ends the session at the first failure: the transport would reconnect, to a new session that nobody has initialized. */
  #break(failure: UpstreamFailure): void {
    if (this.#life.signal.aborted) return;
    // Before the requests fail, so that those that may be repeated go to another session.
    if (this.#isInitialized) this.onLost();
    this.#end(this.#isInitialized ? failure : unsent(failure));
    // The transport sets the timer for its next connection only after it has reported the error.
    queueMicrotask(() => void this.#transport.close());
  }

  #end(failure: UpstreamFailure): void {
    this.#life.abort(failure);
    for (const reject of this.#asked) reject(failure);
    this.#asked.clear();
  }
}

/** Returns an event stream, or a redirect, which the transport handles. @throws UpstreamFailure for anything else */
function asEventStream(response: Response): Response {
  const { status, headers } = response;
  const type = headers.get("content-type") ?? "nothing";
  const isRedirection = status >= 300 && status < 400;
  if (isRedirection || (status === 200 && type.startsWith("text/event-stream"))) return response;
  const message = `The server answered HTTP ${status} with ${type}, expected HTTP 200 with text/event-stream`;
  throw new UpstreamFailure(message, { mayHaveRun: false });
}

function dropped(error: SseError, isInitialized: boolean): UpstreamFailure {
  const { code, message } = error;
  const when = isInitialized ? "in the middle of the call" : "before it answered initialize";
  const what =
    code === undefined
      ? `The server closed its event stream ${when}`
      : `The server answered HTTP ${code}, expected an event stream (${message})`;
  return new UpstreamFailure(what, { mayHaveRun: true, cause: error });
}

function misled(complaint: Error | undefined): UpstreamFailure {
  const message = `The server's endpoint for messages cannot be used: ${complaint?.message}`;
  return new UpstreamFailure(message, { mayHaveRun: true, cause: complaint });
}

function late(what: string, ms: number): UpstreamFailure {
  const message = `The server did not ${what} within ${ms} ms`;
  return new UpstreamFailure(message, { mayHaveRun: false });
}

/** The same failure, for a message that was not sent. */
function unsent({ message, facts }: UpstreamFailure): UpstreamFailure {
  return new UpstreamFailure(message, { ...facts, mayHaveRun: false });
}
