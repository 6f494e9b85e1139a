import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { SharedBytes } from "../../limits/bytes.ts";
import { toEvent } from "../../protocol/event-stream.ts";
import { EVENT_STREAM_HEADERS, KEEP_ALIVE } from "../../protocol/headers.ts";
import type { JsonRpcMessage, JsonText, RequestId } from "../../protocol/jsonrpc.ts";
import { beatsBy } from "../../requests/keep-alive.ts";
import type { OpenStream, OpenStreams } from "../../requests/open-streams.ts";
import type { Identified, Route } from "../../requests/request.ts";
import type { TaskOwner } from "../../store/task-store.ts";
import type { ClientEnd } from "./client-end.ts";
import type { NewPair } from "./http-session.ts";
import { countMessage } from "./message-context.ts";
import type { PairedSession } from "./session.ts";

export interface SseSessionOptions {
  readonly who: Identified;
  readonly response: ServerResponse;
  readonly streams: OpenStreams;
  readonly newPair: NewPair;
  /** The path at which the client opened its stream. */
  readonly path: string;
}

const PARAMETER = "taskgate-session";
/** A client this far behind gets nothing more, and loses its session. */
const MAX_BEHIND_BYTES = 64 * 1_048_576;

/** The client's end of a paired session over HTTP+SSE: one stream for everything, and POSTs (2024-11-05, Transports §HTTP with SSE). */
export class SseSession implements ClientEnd, OpenStream {
  readonly id = randomUUID();
  readonly #options: SseSessionOptions;
  readonly #pair: PairedSession;
  readonly #leave: () => void;
  lastWritten = performance.now();

  constructor(options: SseSessionOptions) {
    this.#options = options;
    const { who, newPair, streams } = options;
    this.#pair = newPair({ who, id: this.id, client: this });
    this.#leave = streams.add(this);
    beatsBy(options.response, this);
  }

  /** Names the endpoint of the session on its stream. Settles when the stream is over. */
  async run(): Promise<void> {
    const { response, path } = this.#options;
    const over = new Promise<void>((resolve) => response.once("close", resolve));
    response.writeHead(200, EVENT_STREAM_HEADERS);
    response.write(`event: endpoint\ndata: ${path}?${PARAMETER}=${this.id}\n\n`);
    await over;
    this.#leave();
    this.#pair.retire();
  }

  get route(): Route {
    return this.#options.who.route;
  }

  belongsTo({ route, caller }: TaskOwner): boolean {
    const { owner } = this.#options.who;
    return route === owner.route && caller === owner.caller;
  }

  /** Takes messages, whose answers come on the stream. Returns whether all of them were taken. */
  async take(messages: readonly JsonRpcMessage[], held?: SharedBytes | undefined): Promise<boolean> {
    for (const message of messages) countMessage(message, held);
    const taken = await Promise.all(messages.map((message) => this.#pair.receive(message)));
    return !taken.includes(false);
  }

  send(message: JsonText): boolean {
    const { response } = this.#options;
    if (!this.isReached()) return false;
    if (response.writableLength > MAX_BEHIND_BYTES) response.destroy();
    else response.write(toEvent(message));
    this.lastWritten = performance.now();
    return !response.destroyed;
  }

  answer(_: RequestId, message: JsonText | undefined): void {
    if (message !== undefined) this.send(message);
  }

  isReached(): boolean {
    const { response } = this.#options;
    return !response.destroyed && !response.writableEnded;
  }

  close(): void {
    this.#options.response.end();
  }

  beat(): void {
    const { response } = this.#options;
    if (this.isReached() && response.writableLength === 0) response.write(KEEP_ALIVE);
    this.lastWritten = performance.now();
  }

  /** The gateway stops: a client of this transport opens another stream. */
  stop(): void {
    this.#options.response.end();
  }

  /** Ends the session. Settles when the server has nothing of it any more. */
  end(): Promise<void> {
    return this.#pair.close();
  }
}

/** The session for which a message was posted; `undefined`: the address names none. */
export function sseSessionOf(url: string): string | undefined {
  const mark = url.indexOf("?");
  return mark === -1 ? undefined : (new URLSearchParams(url.slice(mark)).get(PARAMETER) ?? undefined);
}
