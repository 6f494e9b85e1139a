import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { RpcError } from "../protocol/errors.ts";
import type { JsonRpcMessage, JsonRpcRequest, JsonText, RequestId } from "../protocol/jsonrpc.ts";
import { LEGACY_VERSIONS } from "../protocol/legacy.ts";
import type { SharedBytes } from "../quotas/bytes.ts";
import type { Claimant } from "../tasks/engine.ts";
import type { ClientEnd } from "./client-end.ts";
import type { EventRoom } from "./kept-events.ts";
import type { Identified, Route } from "./lane.ts";
import { countMessage } from "./message-bytes.ts";
import type { OpenStreams } from "./open-streams.ts";
import type { PairedSession, PairedSessionOptions } from "./paired-session.ts";
import { SessionStreams } from "./session-streams.ts";

export interface HttpSessionOptions {
  readonly who: Identified;
  readonly streams: OpenStreams;
  readonly newPair: NewPair;
  readonly room: EventRoom;
  /** Called when nothing can be asked in it any more, though calls that have become tasks may still be under way. */
  readonly onOver: (session: HttpSession) => void;
}

export type NewPair = (options: PairedSessionOptions) => PairedSession;

/** What came of an `initialize`. */
export interface Opening {
  readonly message: JsonText | undefined;
  /** The error that it is, if it is the gateway's own. */
  readonly refusal: RpcError | undefined;
}

/** The first revision whose clients take an event that has nothing but an id. */
const PRIMED_SINCE = "2025-11-25";

/** A client's end of a pair over Streamable HTTP (2025-03-26 to 2025-11-25, Transports §Streamable HTTP). */
export class HttpSession implements ClientEnd {
  readonly id = randomUUID();
  readonly #options: HttpSessionOptions;
  readonly #pair: PairedSession;
  #streams: SessionStreams | undefined;
  #onOpening: (opening: Opening) => void = () => {};
  #lastUsed = Date.now();
  readonly #longestRunMs: number;

  constructor(options: HttpSessionOptions) {
    this.#options = options;
    const { who } = options;
    const { tasks, tools } = who.route.config;
    this.#longestRunMs = Math.max(...[tasks, ...tools].map(({ maxRuntimeMs }) => maxRuntimeMs));
    this.#pair = options.newPair({ who, id: this.id, client: this, mustListen: true });
  }

  /** Said with every answer. */
  get headers(): Readonly<Record<string, string>> {
    return { "Mcp-Session-Id": this.id };
  }

  get route(): Route {
    return this.#options.who.route;
  }

  /** Whether a client may name this revision in a request: it is known, or was negotiated. */
  speaks(version: string): boolean {
    return LEGACY_VERSIONS.includes(version) || version === this.#pair.protocolVersion;
  }

  /** Whether nothing can be asked in it any more. */
  get isOver(): boolean {
    return this.#pair.isOver;
  }

  /** Whether a call in it has become a task, and has not ended. */
  get hasTasks(): boolean {
    return this.#pair.hasTasks;
  }

  belongsTo({ route, caller }: Claimant): boolean {
    const { owner } = this.#options.who;
    return route === owner.route && caller === owner.caller;
  }

  /**
   * How long it has been of no use, in milliseconds. A client that is not connected may come back for the answer to a request,
   * as long as a call may run; a task ends by itself.
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

  /** Whether a request has this id already. */
  isPending(id: RequestId): boolean {
    return this.#pair.isPending(id);
  }

  /** Takes messages of which some are requests, and answers these. Settles when the connection is over. */
  ask(
    response: ServerResponse,
    messages: readonly JsonRpcMessage[],
    how: { readonly readsStreams: boolean; readonly isBatch: boolean },
    held?: SharedBytes | undefined,
  ): Promise<void> {
    const requests = messages.flatMap((message) =>
      "method" in message && "id" in message ? [message.id] : [],
    );
    const over = this.#opened.answer(response, requests, how);
    for (const message of messages) {
      countMessage(message, held);
      void this.#pair.receive(message);
    }
    return this.#until(over);
  }

  /** Takes messages that have no answer. Says whether all of them were taken. */
  async tell(messages: readonly JsonRpcMessage[], held?: SharedBytes | undefined): Promise<boolean> {
    this.#lastUsed = Date.now();
    for (const message of messages) countMessage(message, held);
    const taken = await Promise.all(messages.map((message) => this.#pair.receive(message)));
    return !taken.includes(false);
  }

  /**
   * Opens a stream for what belongs to no request, or picks one up again behind an event. Settles when the connection is over.
   * `undefined` when nothing is known of that event.
   */
  listen(response: ServerResponse, lastEventId: string | undefined): Promise<void> | undefined {
    const streams = this.#opened;
    const opened =
      lastEventId === undefined ? streams.listen(response) : streams.resume(response, lastEventId);
    if (opened === undefined || opened instanceof Promise) return opened && this.#until(opened);
    const stop = this.#pair.listen(opened.channel);
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

  /** The client has ended it. */
  retire(): void {
    this.#pair.retire();
  }

  /** Settles when nothing is left of it at the server. */
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
    this.#lastUsed = Date.now();
  }
}
