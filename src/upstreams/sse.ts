import { AsyncLocalStorage } from "node:async_hooks";
import { setMaxListeners } from "node:events";
import { type JSONRPCMessage, SSEClientTransport, SseError } from "@modelcontextprotocol/client";
import type { JsonRpcMessage, JsonRpcRequest } from "../protocol/jsonrpc.ts";
import { messageText } from "../protocol/raw-json.ts";
import { AnswersPast } from "./answers-past.ts";
import { toFailure, UpstreamFailure } from "./failure.ts";
import type { UpstreamFetch } from "./fetch.ts";
import { inTime } from "./in-time.ts";
import { UnusableAnswer } from "./unusable-answer.ts";
import { type Asking, type AskListener, INITIALIZED, type TransportWire } from "./wire.ts";

export interface SseOptions {
  /** Of the event stream; where messages are posted to is the server's to say, on the same origin. */
  readonly url: URL;
  /** Sent with every request: those of the configuration, and those the caller's credentials consist of. */
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: UpstreamFetch;
  /** How long the server may take to say where messages are posted to, and later to take note of the initialization; 10 s. */
  readonly openingMs?: number;
  /** Hears of the path that messages are posted to, each time. */
  readonly onPost?: (path: string) => void;
}

const OPENING_MS = 10_000;

/**
 * A session over HTTP+SSE (2024-11-05, Transports §HTTP with SSE), on the SDK's transport. The session lives as long as one
 * event stream that everything arrives on, and cannot be picked up.
 */
export class SseWire implements TransportWire {
  onMessage: TransportWire["onMessage"] = () => {};
  onUnusable: TransportWire["onUnusable"] = () => {};
  onGarbage: TransportWire["onGarbage"] = () => {};
  onLost: TransportWire["onLost"] = () => {};

  /** The headers of the message that is being sent: the transport knows those of the session only. */
  readonly #own = new AsyncLocalStorage<AskListener["headers"]>();
  readonly #transport: SSEClientTransport;
  readonly #fetch: UpstreamFetch;
  readonly #answers = new AnswersPast();
  readonly #openingMs: number;
  readonly #onPost: (path: string) => void;
  /** Aborted when nothing can arrive any more, with the failure that says why. */
  readonly #life = new AbortController();
  /** What to call with the failure of each request that is under way. */
  readonly #asked = new Set<(failure: UpstreamFailure) => void>();
  /** What is being sent, by what the transport takes it for. */
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
    // Everything that is being sent listens to it.
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
    // Left to itself, the transport closes only when it was sent elsewhere with its messages, and has just complained.
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
      // The answer may overtake the acknowledgement, which then is of no interest.
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
    // The transport would write anew what is text already: it is told as much as names the message, and the text takes that one's place.
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

  /** Waits for the event that says where messages are posted to. Rejects with whatever ends the session before. */
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
    // The transport's own signals do not reach a stream that it has given up itself.
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
    // What became of a message is told to whoever sent it.
    else if (!(error instanceof UpstreamFailure)) this.onGarbage(error);
  }

  /** The transport would connect once more, and to a new session that nobody has initialized: the first failure is the last. */
  #break(failure: UpstreamFailure): void {
    if (this.#life.signal.aborted) return;
    // Before the requests fail, so that whoever may ask again does so elsewhere.
    if (this.#isInitialized) this.onLost();
    this.#end(this.#isInitialized ? failure : unsent(failure));
    // Only after its complaint does the transport set the timer for the next connection.
    queueMicrotask(() => void this.#transport.close());
  }

  #end(failure: UpstreamFailure): void {
    this.#life.abort(failure);
    for (const reject of this.#asked) reject(failure);
    this.#asked.clear();
  }
}

/** @throws UpstreamFailure when it is something else. Where the server has moved to is for the transport to see. */
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

/** The same for a message that was not sent any more. */
function unsent({ message, facts }: UpstreamFailure): UpstreamFailure {
  return new UpstreamFailure(message, { ...facts, mayHaveRun: false });
}
