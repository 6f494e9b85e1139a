import { rpc } from "../protocol/errors.ts";
import { namesStreams } from "../protocol/headers.ts";
import type { RequestId } from "../protocol/jsonrpc.ts";
import { withEndpoint } from "../proxy/filters/endpoint-event.ts";
import { EventFilter } from "../proxy/filters/event-filter.ts";
import { withoutTaken } from "../proxy/filters/server-messages.ts";
import { type Forwarder, isPlainStream } from "../proxy/forwarder.ts";
import type { AnswerHead } from "../proxy/reverse-proxy.ts";
import { readInitializeResult, withTasksCapability } from "../requests/amended.ts";
import { sessionIdOf, speaksTasks } from "../requests/client-session.ts";
import type { HttpExchange } from "../requests/request.ts";
import { type LegacyServices, sessionKey } from "./client-streams.ts";
import { tasksCapability } from "./tasks.ts";

/** Forwards requests of older revisions, and adds what the gateway has to say about tasks. Each method throws as `Forwarder` does. */
export class LegacyForwarder {
  readonly #forwarder: Forwarder;
  readonly #services: Pick<LegacyServices, "streams" | "clientStreams" | "quotas">;

  constructor(forwarder: Forwarder, services: Pick<LegacyServices, "streams" | "clientStreams" | "quotas">) {
    this.#forwarder = forwarder;
    this.#services = services;
  }

  /**
   * `initialize`: declares tasks to a session of 2025-11-25, unless the server itself declares them. Returns whether the client has its
   * answer: not if the server turns out to speak only 2026-07-28.
   * @param onHead takes the head of the server's answer, which names the session
   */
  async initialize(
    exchange: HttpExchange,
    id: RequestId,
    onHead: (head: AnswerHead) => void = () => {},
  ): Promise<boolean> {
    const { caller } = exchange;
    const { upstream } = exchange.route;
    // Another client's session may show it while this one is under way.
    const wasOnlyModern = upstream.isOnlyModern;
    const amend = (answer: string) => {
      const said = readInitializeResult(answer);
      if (said !== undefined) upstream.learn(said.result);
      return withTasksCapability(answer, tasksCapability(caller));
    };
    try {
      await this.#forwarder.forwardAmended(exchange, id, amend, {
        onHead: (head) => {
          const isOnlyModern = !wasOnlyModern && upstream.refusesSessions(caller.headers, head.status);
          if (isOnlyModern !== false) throw new Refused(isOnlyModern);
          onHead(head);
        },
      });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (await error.isOnlyModern) return false;
      // A refusal has no effect: the client gets the server's own when it is asked once more.
      await this.#forwarder.forwardAmended(exchange, id, amend, { onHead });
    }
    return true;
  }

  /** `tools/call` of a client that waits, however long the call takes. */
  async call(exchange: HttpExchange, id: RequestId): Promise<void> {
    const { request, reply } = exchange;
    // A legacy client without an `Accept` header may not read streams.
    const acceptsStream = reply.readsStreams && request.headers.accept !== undefined;
    // Only for a session with tasks must the gateway know the session's other calls.
    const session = speaksTasks(request) ? sessionKey(exchange.owner, sessionIdOf(request)) : undefined;
    const passed = session === undefined ? () => {} : this.#services.clientStreams.pass(session);
    return this.#forwarder.forwardCall(exchange, id, { acceptsStream }).finally(passed);
  }

  /** The stream on which a session listens, or everything that an HTTP+SSE server sends (2024-11-05). */
  async stream(exchange: HttpExchange): Promise<void> {
    const { request, response, route, server, mount } = exchange;
    const { quotas, streams, clientStreams } = this.#services;
    const giveBack = quotas.take("streams", exchange.quotaKey);
    const session = sessionKey(exchange.owner, sessionIdOf(request));
    let events: EventFilter | undefined;
    let hangUp = () => {};
    let letGo = () => {};
    try {
      await this.#forwarder.forwardThrough(exchange, (head) => {
        if (head.status !== 200 || !isPlainStream(head.headers)) return undefined;
        // A client that only looks what is there would wait for the stream's end. Before HTTP+SSE servers it may be one of those.
        if (session === undefined && route.upstream.isStreamable && !namesStreams(request.headers.accept))
          throw rpc.notAcceptable("text/event-stream");
        events = new EventFilter(response, streams);
        if (session === undefined)
          return withEndpoint(events, server.url, mount, (posted) => {
            letGo = route.upstream.messagePaths.hold(posted);
          });
        hangUp = clientStreams.listen(session, events);
        return withoutTaken(events, {
          isHearing: () => clientStreams.isHearing(session),
          hear: (message) => clientStreams.hear(session, message),
        });
      });
    } finally {
      events?.close();
      hangUp();
      letGo();
      giveBack();
    }
  }
}

/** The server has refused a session, and nothing of that has reached the client. */
class Refused extends Error {
  /** Whether the server speaks only 2026-07-28. */
  readonly isOnlyModern: Promise<boolean>;

  constructor(isOnlyModern: Promise<boolean>) {
    super("the server has refused a session");
    this.isOnlyModern = isOnlyModern;
  }
}
