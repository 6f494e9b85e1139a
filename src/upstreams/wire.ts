import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest } from "../protocol/jsonrpc.ts";

/** A request's own stream. */
export interface Asking {
  /** Resolves when nothing more can arrive on it. Rejects with an `UpstreamFailure`. */
  readonly ended: Promise<void>;
  /** Nobody listens any longer. */
  stop(): void;
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
  /** Sends a request, and listens on the stream that it opens. `onAccepted`: the server has not refused it. */
  ask(request: JsonRpcRequest, onAccepted?: () => void): Asking;
  /** To be called with the version that was negotiated, before anything but `initialize` is sent. */
  setProtocolVersion(version: string): void;
  /**
   * Sends `notifications/initialized`, in a client's own words if there are any, and is ready for what the server sends unasked
   * when it settles.
   */
  initialized(notification?: JsonRpcNotification): Promise<void>;
  /** Ends the session on the server where there is one, and everything that is still open. Never rejects. */
  close(): Promise<void>;
}

/** What there is to say where nobody says more. */
export const INITIALIZED: JsonRpcNotification = { jsonrpc: "2.0", method: "notifications/initialized" };
