import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { steadyNow } from "../../lib/clock.ts";
import type { SharedBytes } from "../../limits/bytes.ts";
import type { RpcError } from "../../protocol/errors.ts";
import {
  isRequest,
  type JsonRpcMessage,
  type JsonRpcRequest,
  type JsonText,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { LEGACY_VERSIONS } from "../../protocol/legacy.ts";
import type { OpenStreams } from "../../requests/open-streams.ts";
import type { Identified, Route } from "../../requests/request.ts";
import type { TaskOwner } from "../../store/task-store.ts";
import type { ClientEnd } from "./client-end.ts";
import type { EventRoom } from "./kept-events.ts";
import { countMessage } from "./message-context.ts";
import type { PairedSession, PairedSessionOptions } from "./session.ts";
import { SessionStreams } from "./session-streams.ts";

export interface HttpSessionOptions {
  readonly who: Identified;
  readonly streams: OpenStreams;
  readonly newPair: NewPair;
  readonly room: EventRoom;
  /** Called when the session takes no more requests, though calls that have become tasks may still be under way. */
  readonly onOver: (session: HttpSession) => void;
}

export type NewPair = (options: PairedSessionOptions) => PairedSession;

/** The answer to an `initialize`. */
export interface Opening {
  readonly message: JsonText | undefined;
  /** The error in `message`, if it is the gateway's own. */
  readonly refusal: RpcError | undefined;
}

/** The first revision whose clients take an event with nothing but an id. */
const PRIMED_SINCE = "2025-11-25";

/** The client's end of a paired session over Streamable HTTP (2025-03-26 to 2025-11-25, Transports §Streamable HTTP). */
export class HttpSession implements ClientEnd {
  readonly id = randomUUID();
  readonly #options: HttpSessionOptions;
  readonly #pair: PairedSession;
  #streams: SessionStreams | undefined;
  #onOpening: (opening: Opening) => void = () => {};
  #lastUsed = steadyNow();
  readonly #longestRunMs: number;

  constructor(options: HttpSessionOptions) {
    this.#options = options;
    const { who } = options;
    const { tasks, tools } = who.route.config;
    this.#longestRunMs = Math.max(...[tasks, ...tools].map(({ maxRuntimeMs }) => maxRuntimeMs));
    this.#pair = options.newPair({ who, id: this.id, client: this, mustListen: true });
  }

  /** Sent with every answer. */
  get headers(): Readonly<Record<string, string>> {
    return { "Mcp-Session-Id": this.id };
  }

  get route(): Route {
    return this.#options.who.route;
  }

  /** Whether a client may name this revision in a request: the gateway knows it, or the session negotiated it. */
  speaks(version: string): boolean {
    return LEGACY_VERSIONS.includes(version) || version === this.#pair.protocolVersion;
  }

  /** Whether the session takes no more requests. */
  get isOver(): boolean {
    return this.#pair.isOver;
  }

  /** Whether a call of the session has become a task that has not ended. */
  get hasTasks(): boolean {
    return this.#pair.hasTasks;
  }

  belongsTo({ route, caller }: TaskOwner): boolean {
    const { owner } = this.#options.who;
    return route === owner.route && caller === owner.caller;
  }

  /**
   * How long the session has been of no use, in milliseconds. A client that is not connected may come back for the answer to a request as
   * long as a call may run; a task ends by itself.
   */
  idleFor(now: number): number {
    const idleMs = now - this.#lastUsed;
    const isConnected = !this.isOver && this.#streams?.isOpen !== false;
    const isAwaited = this.#pair.isAsked && idleMs <= this.#longestRunMs;
    return isConnected || isAwaited || this.hasTasks ? 0 : idleMs;
  }

  /** Sends the client's `initialize` to the server. */
  open(initialize: JsonRpcRequest): Promise<Opening> {
    return new Promise((resolve) => {
      this.#onOpening = resolve;
      void this.#pair.receive(initialize);
    });
  }

  /** Whether a request without an answer has this id. */
  isPending(id: RequestId): boolean {
    return this.#pair.isPending(id);
  }

  /** Takes messages of which some are requests, and answers the requests. Settles when the connection is over. */
  ask(
    response: ServerResponse,
    messages: readonly JsonRpcMessage[],
    how: { readonly readsStreams: boolean; readonly isBatch: boolean },
    held?: SharedBytes | undefined,
  ): Promise<void> {
    const requests = messages.filter(isRequest).map(({ id }) => id);
    const over = this.#opened.answer(response, requests, how);
    for (const message of messages) {
      countMessage(message, how.isBatch ? held?.part() : held);
      void this.#pair.receive(message);
    }
    return this.#until(over);
  }

  /** Takes messages that need no answer. Returns whether all of them were taken. */
  async tell(messages: readonly JsonRpcMessage[], held?: SharedBytes | undefined): Promise<boolean> {
    this.#lastUsed = steadyNow();
    for (const message of messages) countMessage(message, held);
    const taken = await Promise.all(messages.map((message) => this.#pair.receive(message)));
    return !taken.includes(false);
  }

  /**
   * Opens a stream for messages about no request, or resumes one after an event. Settles when the connection is over. `undefined` when the
   * event is no longer known.
   */
  listen(response: ServerResponse, lastEventId: string | undefined): Promise<void> | undefined {
    const streams = this.#opened;
    const opened =
      lastEventId === undefined ? streams.listen(response) : streams.resume(response, lastEventId);
    if (opened === undefined || opened instanceof Promise) return opened && this.#until(opened);
    const stop = this.#pair.listen(opened.stream);
    return this.#until(opened.over).finally(stop);
  }

  send(message: JsonText, about?: RequestId): boolean {
    return this.#streams?.send(message, about) ?? false;
  }

  isReached(about: RequestId): boolean {
    return this.#streams?.isConnected(about) ?? false;
  }

  answer(id: RequestId, message: JsonText | undefined, refusal?: RpcError): void {
    if (this.#streams !== undefined) return this.#streams.reply(id, message);
    if (!this.#pair.isOver) {
      const { streams, room } = this.#options;
      const isPrimed = (this.#pair.protocolVersion ?? "") >= PRIMED_SINCE;
      this.#streams = new SessionStreams({
        headers: this.headers,
        room,
        streams,
        isPrimed,
      });
    }
    this.#onOpening({ message, refusal });
  }

  close(): void {
    this.#streams?.close();
    this.#options.onOver(this);
  }

  /** To be called when the client has ended the session. */
  retire(): void {
    this.#pair.retire();
  }

  /** Ends the session. Settles when the server has nothing of it any more. */
  end(): Promise<void> {
    return this.#pair.close();
  }

  get #opened(): SessionStreams {
    if (this.#streams === undefined) throw new Error("the session is not open");
    return this.#streams;
  }

  async #until(over: Promise<void>): Promise<void> {
    await over;
    this.#pair.disconnected();
    this.#lastUsed = steadyNow();
  }
}
