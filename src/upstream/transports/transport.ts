import type { AnswerRoom } from "../../limits/answers.ts";
import type {
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  RequestId,
} from "../../protocol/jsonrpc.ts";
import { UpstreamFailure } from "../failure.ts";
import type { CallMaker } from "../modern/bridged-transport.ts";
import type { UnusableAnswer } from "./unusable-answer.ts";

/** The stream of one request. */
export interface Asking {
  /** Resolves when nothing more can arrive on the stream. Rejects with an `UpstreamFailure`. */
  readonly ended: Promise<void>;
  /** Stops listening. */
  stop(): void;
}

/** What it takes to join a session of Streamable HTTP. The id is absent if the server has no sessions. */
export interface JoinedSession {
  readonly id?: string;
  readonly protocolVersion: string;
  /** The cookies that the server has set in a gateway's session, as values of `Set-Cookie`. May be credentials. */
  readonly cookies?: readonly string[];
}

/** The result of resuming on a transport without `pickUp`: a failure. */
export function nothingToResume(): Asking {
  const message = "This connection knows no way to ask for what was said before";
  return { ended: Promise.reject(new UpstreamFailure(message, { mayHaveRun: true })), stop: () => {} };
}

/** A position in a request's own stream (2025-11-25, Transports §Resumability and Redelivery). */
export interface EventPlace {
  readonly session: JoinedSession;
  readonly lastEventId: string;
}

/** What a request's own stream reports, apart from its messages. None of these may throw. */
export interface AskListener {
  /** Headers for this request only, where the transport has any. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Where the answer finds room while it is read. Absent: it is not counted. */
  readonly room?: AnswerRoom | undefined;
  /** Called when the server has not refused the request. */
  onAccepted?(): void;
  /**
   * Called with a place from which the stream can be resumed: after the message of that event, if it had one, and never for the answer
   * itself. Not called if the transport or the server cannot resume.
   */
  readonly onEvent?: ((place: EventPlace) => void) | undefined;
}

/** Resumes requests that another replica has sent. */
export interface PickUp {
  /**
   * Listens again to the server's own messages in the session. Settles when listening has begun, or need not be waited for; a server that
   * has no such stream, or refuses it, is no failure.
   */
  listen(): Promise<void>;
  /** Waits for the answer to the request with that id, on the stream that continues after the event. */
  resume(answerTo: RequestId, lastEventId: string, listener?: AskListener): Asking;
}

/** Carries the messages of one session. A transport does not interpret JSON-RPC: the session knows which answer belongs to which request. */
export interface Transport {
  /** Called with every message, on any stream. Set it before sending anything. */
  onMessage: (message: JsonRpcMessage) => void;
  /** Called when something arrived that is no message; the stream goes on. */
  onGarbage: (error: Error) => void;
  /** Called when the server says that it has forgotten the session. */
  onLost: () => void;
  /** Sends a notification or an answer. @throws UpstreamFailure */
  tell(message: JsonRpcMessage): Promise<void>;
  /** Sends a request, and listens on the stream that it opens. */
  ask(request: JsonRpcRequest, listener?: AskListener): Asking;
  /** Absent if the server cannot repeat what it has said before. */
  readonly pickUp?: PickUp | undefined;
  /** Makes the gateway's calls on a client's behalf, where the server has no sessions. Absent: they are made in the session. */
  readonly calls?: CallMaker | undefined;
  /** Call this with the negotiated version, before sending anything but `initialize`. */
  setProtocolVersion(version: string): void;
  /** Sends `notifications/initialized`, or the client's own if given. Once it settles, the transport receives the server's own messages. */
  initialized(notification?: JsonRpcNotification): Promise<void>;
  /**
   * Listens to the server's own messages, if the transport does not do so anyway. Returns a function that stops it. Absent if everything
   * arrives on one stream.
   */
  hearChanges?(): () => void;
  /** Passes a signal on to the server. Absent if it is not a process of the gateway's. */
  signal?(signal: NodeJS.Signals): void;
  /**
   * Ends the session on the server, if there is one, and everything that is still open. Never rejects. `handedOff`: another replica has the
   * session now, and the server is told nothing.
   */
  close(state?: "handedOff"): Promise<void>;
}

/**
 * The stream that carried a message: that of one request, `aside` (one on which no request is answered), or the one that all requests share.
 */
export type Stream = RequestStream | "aside" | "shared";

interface RequestStream {
  readonly answerTo: RequestId;
  /** Whether the stream was resumed: on such a stream some servers repeat messages for other requests. */
  readonly isResumed?: boolean;
}

/** A transport as a transport makes it, which does not know what its requests are about. */
export interface RawTransport extends Transport {
  /** @param stream shared unless given */
  onMessage: (message: JsonRpcMessage, stream?: Stream) => void;
  /** Called with a message that can only be an answer, but is unusable as one. */
  onUnusable: (answer: UnusableAnswer, stream?: Stream) => void;
}

/** The notification to send unless a client sends its own. */
export const INITIALIZED: JsonRpcNotification = { jsonrpc: "2.0", method: "notifications/initialized" };
