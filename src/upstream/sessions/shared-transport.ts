import {
  isRequest,
  type JsonObject,
  type JsonRpcMessage,
  type JsonRpcNotification,
  type JsonRpcRequest,
  type JsonRpcResponse,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { toFailure, UpstreamFailure, unanswered } from "../failure.ts";
import type { StoredRequest } from "../modern/bridged-transport.ts";
import type { Asking, AskListener, Transport } from "../transports/transport.ts";
import type { Lease } from "./pool.ts";
import { Session, type SessionHolder } from "./session.ts";

/** Waits for the answer to a request: exactly one of the two methods is called, once. */
export interface AnswerListener {
  /** If it throws, `onFailure` is called as well. */
  onAnswer(answer: JsonRpcResponse): void;
  /** No answer can come any more. */
  onFailure(failure: UpstreamFailure): void;
}

export interface SharedTransportOptions {
  readonly transport: Transport;
  /** Receives the server's requests and notifications. */
  readonly onMessage: (message: JsonRpcRequest | JsonRpcNotification) => void;
  /** The server has forgotten the session, or is gone. Open requests fail right after. */
  readonly onLost: () => void;
}

/**
 * The transport of a session that a client opened itself, and in which the gateway makes calls on its behalf. The client's requests keep their
 * own ids; those of a call go out on a branch, under ids that the client cannot use. Answers find their request by the id.
 */
export class SharedTransport {
  readonly #transport: Transport;
  readonly #waiting = new Map<RequestId, (answer: JsonRpcResponse) => void>();
  readonly #channels = new Set<SharedChannel>();

  constructor({ transport, onMessage, onLost }: SharedTransportOptions) {
    this.#transport = transport;
    transport.onMessage = (message) => {
      try {
        if ("method" in message) onMessage(message);
        else if (message.id !== undefined) this.#waiting.get(message.id)?.(message);
      } catch (error) {
        // JSON can be parsed at depths at which it cannot be written; one such message must not break the session.
        transport.onGarbage(toFailure(error));
        if (isRequest(message)) void this.tell(untold(message.id));
      }
    };
    transport.onLost = () => {
      for (const channel of this.#channels) channel.onLost();
      onLost();
    };
  }

  setProtocolVersion(version: string): void {
    this.#transport.setProtocolVersion(version);
  }

  /** Forwards the client's `notifications/initialized`. @throws UpstreamFailure */
  initialized(notification: JsonRpcNotification): Promise<void> {
    return this.#transport.initialized(notification);
  }

  /** Sends a notification or an answer. Never rejects: nobody waits for either, so a loss is only reported to `onGarbage`. */
  tell(message: JsonRpcMessage): Promise<void> {
    return this.#transport
      .tell(message)
      .catch((error: unknown) => this.#transport.onGarbage(toFailure(error)));
  }

  /**
   * Sends a request under its own id. Returns a function that stops waiting; after that the listener hears nothing.
   * @param headers for this request only
   */
  ask(
    request: JsonRpcRequest,
    { onAnswer, onFailure }: AnswerListener,
    headers: AskListener["headers"] = {},
  ): () => void {
    let isOver = false;
    const stop = () => {
      if (isOver) return;
      isOver = true;
      this.#waiting.delete(request.id);
      asking.stop();
    };
    const fail = (error: unknown) => {
      if (isOver) return;
      stop();
      onFailure(toFailure(error));
    };
    this.#waiting.set(request.id, (answer) => {
      stop();
      try {
        onAnswer(answer);
      } catch (error) {
        onFailure(unusable(error));
      }
    });
    const asking = this.#transport.ask(request, { headers });
    asking.ended.then(() => fail(unanswered()), fail);
    return stop;
  }

  /** Lends the session to one call of the gateway's; releasing the lease does not end the session. */
  join(holder: SessionHolder): Lease {
    const { calls } = this.#transport;
    if (calls !== undefined) return calls.lease(holder);
    const channel = new SharedChannel(this.#transport, this.#waiting);
    this.#channels.add(channel);
    const session = Session.join({
      transport: channel,
      holder,
      onGarbage: (error) => this.#transport.onGarbage(error),
    });
    const release = () => {
      this.#channels.delete(channel);
      void session.close();
    };
    return { session, isReused: false, release };
  }

  /** What another gateway needs to make a call with these params; `undefined`: the session itself. */
  stored(params: JsonObject): StoredRequest | undefined {
    return this.#transport.calls?.stored(params);
  }

  /** Ends the session. Never rejects. */
  close(): Promise<void> {
    return this.#transport.close();
  }
}

/** The transport of one call in a client's session. Receives the answers to its own requests and nothing else. */
class SharedChannel implements Transport {
  onMessage: Transport["onMessage"] = () => {};
  onGarbage: Transport["onGarbage"] = () => {};
  onLost: Transport["onLost"] = () => {};

  readonly #transport: Transport;
  readonly #waiting: Map<RequestId, (answer: JsonRpcResponse) => void>;
  readonly #stops = new Set<() => void>();

  constructor(transport: Transport, waiting: Map<RequestId, (answer: JsonRpcResponse) => void>) {
    this.#transport = transport;
    this.#waiting = waiting;
  }

  tell(message: JsonRpcMessage): Promise<void> {
    return this.#transport.tell(message);
  }

  ask(request: JsonRpcRequest, { headers, onAccepted = () => {} }: AskListener = {}): Asking {
    this.#waiting.set(request.id, (answer) => this.onMessage(answer));
    // Without `onEvent`: the session ends with the client's end in this replica, so no other replica can resume a request in it.
    const asking = this.#transport.ask(
      request,
      headers === undefined ? { onAccepted } : { headers, onAccepted },
    );
    const stop = () => {
      this.#stops.delete(stop);
      this.#waiting.delete(request.id);
      asking.stop();
    };
    this.#stops.add(stop);
    return { ended: asking.ended, stop };
  }

  /** The client did both itself. */
  setProtocolVersion(): void {}
  async initialized(): Promise<void> {}

  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
  }
}

function untold(id: RequestId): JsonRpcResponse {
  return { jsonrpc: "2.0", id, error: { code: -32603, message: "The message cannot be passed on" } };
}

function unusable(error: unknown): UpstreamFailure {
  const why = error instanceof Error ? error.message : String(error);
  return new UpstreamFailure(`The server's answer cannot be passed on: ${why}`, {
    mayHaveRun: true,
    cause: error,
  });
}
