import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest, RequestId } from "../protocol/jsonrpc.ts";
import { UpstreamFailure } from "./failure.ts";
import type { UnusableAnswer } from "./unusable-answer.ts";

/** A request's own stream. */
export interface Asking {
  /** Resolves when nothing more can arrive on it. Rejects with an `UpstreamFailure`. */
  readonly ended: Promise<void>;
  /** Nobody listens any longer. */
  stop(): void;
}

/** A session of Streamable HTTP, as somebody else can speak in it too. Its id is absent where the server has no sessions. */
export interface JoinedSession {
  readonly id?: string;
  readonly protocolVersion: string;
  /** Those that the server has set in a session of ours, as values of `Set-Cookie`. May be credentials. */
  readonly cookies?: readonly string[];
}

/** What there is to resume where the wire has no `pickUp`. */
export function nothingToResume(): Asking {
  const message = "This connection knows no way to ask for what was said before";
  return { ended: Promise.reject(new UpstreamFailure(message, { mayHaveRun: true })), stop: () => {} };
}

/** A place in what the server has said on a request's own stream (2025-11-25, Transports §Resumability and Redelivery). */
export interface EventPlace {
  readonly session: JoinedSession;
  readonly lastEventId: string;
}

/** What can be heard of a request's own stream, apart from its messages. None may throw. */
export interface AskListener {
  /** Headers that go along with this request only, where the transport has any. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The server has not refused the request. */
  onAccepted?(): void;
  /**
   * What came up to here need not come again: called after the message of that event, if it had one, and never for the answer itself. Not
   * called by a wire or for a server with which nothing can be picked up.
   */
  onEvent?(place: EventPlace): void;
}

/** What it takes to go on with a request that another process has sent. */
export interface PickUp {
  /**
   * Listens again to what the server sends unasked in the session. Settles when that has begun, or when there is no need to wait for it;
   * a server that has no such stream, or refuses it, is no failure.
   */
  listen(): Promise<void>;
  /** Waits for the answer to the request of that id, on the stream that goes on after the event. */
  resume(answerTo: RequestId, lastEventId: string, listener?: AskListener): Asking;
}

/**
 * What carries one session's messages. A wire knows no JSON-RPC semantics: who asked what, and which answer belongs to
 * which request, is the session's business.
 */
export interface Wire {
  /** Called with everything that arrives, on whichever stream. Set before anything is sent. */
  onMessage: (message: JsonRpcMessage) => void;
  /** Called with what arrived but could not be read as a message; the stream goes on. */
  onGarbage: (error: Error) => void;
  /** Called when the server says that it does not know the session any longer. */
  onLost: () => void;
  /** Sends a notification or an answer. @throws UpstreamFailure */
  tell(message: JsonRpcMessage): Promise<void>;
  /** Sends a request, and listens on the stream that it opens. */
  ask(request: JsonRpcRequest, listener?: AskListener): Asking;
  /** Absent where the server cannot be asked for what it has said before. */
  readonly pickUp?: PickUp | undefined;
  /** To be called with the version that was negotiated, before anything but `initialize` is sent. */
  setProtocolVersion(version: string): void;
  /**
   * Sends `notifications/initialized`, in a client's own words if there are any, and is ready for what the server sends unasked
   * when it settles.
   */
  initialized(notification?: JsonRpcNotification): Promise<void>;
  /**
   * Listens to what the server sends unasked, where that is not done anyway. Returns how to stop. Absent where everything arrives on one
   * stream.
   */
  hearChanges?(): () => void;
  /**
   * Ends the session on the server where there is one, and everything that is still open. Never rejects. `left`: the session is
   * somebody else's now, and the server is told nothing.
   */
  close(state?: "left"): Promise<void>;
}

/**
 * On which stream something came: on that of one request, `aside` from those on which requests are answered, or on the one that all
 * requests share.
 */
export type Stream = RequestStream | "aside" | "shared";

export interface RequestStream {
  readonly answerTo: RequestId;
  /** Whether it was resumed: there are servers that say again on it what was meant for other requests. */
  readonly isResumed?: boolean;
}

/** A wire as a transport makes it, which knows of no request what it is about. */
export interface TransportWire extends Wire {
  /** @param stream shared unless given */
  onMessage: (message: JsonRpcMessage, stream?: Stream) => void;
  /** Called with what can only be an answer, but cannot be used as one. */
  onUnusable: (answer: UnusableAnswer, stream?: Stream) => void;
}

/** What there is to say where nobody says more. */
export const INITIALIZED: JsonRpcNotification = { jsonrpc: "2.0", method: "notifications/initialized" };
