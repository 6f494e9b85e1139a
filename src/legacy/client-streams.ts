import type { Call } from "../calls/call.ts";
import type { JsonRpcMessage, JsonRpcNotification, RequestId } from "../protocol/jsonrpc.ts";
import type { ClientStream } from "../requests/client-stream.ts";
import { heartbeatFor } from "../requests/heartbeat.ts";
import type { Services } from "../requests/request.ts";
import type { SessionNotes } from "../store/session-notes.ts";
import type { TaskId, TaskOwner } from "../store/task-store.ts";
import type { TaskEngine } from "../tasks/engine.ts";
import type { Progress } from "../upstream/sessions/session.ts";
import { TaskNotifier } from "./task-notifier.ts";

/** The parts that all routes share, and what only sessions of older revisions need. */
export interface LegacyServices extends Services {
  readonly clientStreams: ClientStreams;
  /** Which sessions belong to clients that know tasks, as every gateway on the store has noted. Absent: nobody notes that. */
  readonly sessionNotes?: SessionNotes | undefined;
}

/** A client's session, among all sessions of all routes and callers. */
export type SessionKey = string & { readonly __session: unique symbol };

export function sessionKey(
  { route, caller }: TaskOwner,
  sessionId: string | undefined,
): SessionKey | undefined {
  return sessionId === undefined ? undefined : (JSON.stringify([route, caller, sessionId]) as SessionKey);
}

/** A client's request that waits for a task to end. */
export interface Waiting {
  readonly task: TaskId;
  /** To be called when the client cancels the request. */
  letGo(): void;
}

/** A session with streams, tasks, calls or waiting requests. */
interface SessionState {
  readonly streams: Set<ClientStream>;
  readonly notifiers: Set<TaskNotifier>;
  /** How many of the client's calls that are no tasks the server has. */
  plainCalls: number;
  /** The client's requests that wait for a task to end. */
  readonly waiting: Map<RequestId, Waiting>;
  /** To be called when the session's last task has ended. */
  readonly onQuiet: Set<() => void>;
}

/**
 * How the gateway reaches the clients of 2025-11-25 while a task runs: on the streams of requests that wait for its end, else on the
 * stream on which the task's session listens (Tasks §Input Required Status). It knows these only as long as connections and calls last.
 */
export class ClientStreams {
  readonly #engine: TaskEngine;
  readonly #sessions = new Map<SessionKey, SessionState>();
  readonly #notifiers = new Map<TaskId, TaskNotifier>();

  constructor(engine: TaskEngine) {
    this.#engine = engine;
  }

  /** Adds a stream on which a session listens. Returns the function that removes it. */
  listen(session: SessionKey, stream: ClientStream): () => void {
    const end = this.#at(session);
    end.streams.add(stream);
    for (const notifier of end.notifiers) notifier.wake();
    return () => {
      end.streams.delete(stream);
      this.#tidy(session);
      for (const notifier of end.notifiers) notifier.wake();
    };
  }

  /** Counts a session's call that does not become a task. Returns the function to call when it has been answered. */
  pass(session: SessionKey): () => void {
    const end = this.#at(session);
    end.plainCalls += 1;
    return () => {
      end.plainCalls -= 1;
      this.#tidy(session);
    };
  }

  /** Whether messages on the stream on which a session listens may belong to a task. */
  isHearing(session: SessionKey): boolean {
    return (this.#sessions.get(session)?.notifiers.size ?? 0) > 0;
  }

  /**
   * Takes a server's message on that stream. Many servers ask there for what a call needs, and the question does not name the call; while
   * a session has only one call, it must be that. Returns whether a task took the message: then the client must not see it.
   */
  hear(session: SessionKey, message: JsonRpcMessage): boolean {
    const end = this.#sessions.get(session);
    if (end === undefined) return false;
    const isAlone = end.notifiers.size === 1 && end.plainCalls === 0;
    return [...end.notifiers].some((notifier) => notifier.hear(message, isAlone));
  }

  /** Settles when none of the session's calls is a task any more; at once if none is. */
  async quiet(session: SessionKey): Promise<void> {
    const end = this.#sessions.get(session);
    if (end !== undefined && end.notifiers.size > 0)
      await new Promise<void>((resolve) => end.onQuiet.add(resolve));
  }

  /** Notes that a session's request waits for a task, until the returned function is called or the client cancels the request. */
  wait(session: SessionKey, request: RequestId, wait: Waiting): () => void {
    const { waiting } = this.#at(session);
    waiting.set(request, wait);
    return () => {
      if (waiting.get(request) === wait) waiting.delete(request);
      this.#tidy(session);
    };
  }

  /** After a session's connection has ended, asks questions that may have got lost on it again where a request still waits. */
  disconnected(session: SessionKey): void {
    const { waiting } = this.#sessions.get(session) ?? {};
    for (const { task } of waiting?.values() ?? []) this.#notifiers.get(task)?.wake();
  }

  /** Takes a client's cancellation. Returns whether the request was one that waits here. */
  letGo(session: SessionKey, request: unknown): boolean {
    const waiting = this.#sessions.get(session)?.waiting.get(request as RequestId);
    waiting?.letGo();
    return waiting !== undefined;
  }

  /** Tells the session in which a task began what happens to it, until it ends. */
  follow(id: TaskId, owner: TaskOwner, origin: Origin): void {
    const { session, call, progressToken, heartbeatMs, isPlain = false } = origin;
    if (call.end !== undefined) return;
    const end = session === undefined ? undefined : this.#at(session);
    const notifier = this.#notifier(id, owner, isPlain);
    notifier.follow(call, isPlain ? undefined : end?.streams);
    end?.notifiers.add(notifier);
    const tell = ({ method, params = {} }: Pick<JsonRpcNotification, "method" | "params">) =>
      notifier.tell(method, params);
    const heartbeat = heartbeatFor(progressToken, heartbeatMs, tell);
    const onProgress = (progress: Progress) => heartbeat?.pass(progress);
    if (!isPlain) call.listen({ onProgress, onNotification: tell, onEnd: () => heartbeat?.stop() });
    notifier.onFollowed = () => {
      end?.notifiers.delete(notifier);
      if (end?.notifiers.size === 0) for (const tell of end.onQuiet) tell();
      if (session !== undefined) this.#tidy(session);
      this.#drop(id);
    };
  }

  /** Asks the questions of a task on the stream of a request that waits for its end. Returns the function that stops this. */
  attend(
    id: TaskId,
    owner: TaskOwner,
    stream: ClientStream,
    { isPlain = false }: Plainness = {},
  ): () => void {
    const notifier = this.#notifier(id, owner, isPlain);
    const leave = notifier.attend(stream);
    return () => {
      leave();
      this.#drop(id);
    };
  }

  /** Notes that a client has answered a question: if the task is its own, it need not hear that the question is gone. */
  answered(id: TaskId, key: string, owner: TaskOwner): void {
    this.#notifiers.get(id)?.answered(key, owner);
  }

  /** Tells no client anything any more. */
  close(): void {
    for (const notifier of this.#notifiers.values()) notifier.close();
    this.#notifiers.clear();
    this.#sessions.clear();
  }

  #notifier(id: TaskId, owner: TaskOwner, isPlain: boolean): TaskNotifier {
    const notifier = this.#notifiers.get(id) ?? new TaskNotifier(this.#engine, id, { owner, isPlain });
    this.#notifiers.set(id, notifier);
    return notifier;
  }

  #drop(id: TaskId): void {
    const notifier = this.#notifiers.get(id);
    if (notifier?.isIdle !== true) return;
    notifier.close();
    this.#notifiers.delete(id);
  }

  #at(session: SessionKey): SessionState {
    const end = this.#sessions.get(session) ?? {
      streams: new Set(),
      notifiers: new Set(),
      plainCalls: 0,
      waiting: new Map(),
      onQuiet: new Set(),
    };
    this.#sessions.set(session, end);
    return end;
  }

  #tidy(session: SessionKey): void {
    const end = this.#sessions.get(session);
    if (end === undefined) return;
    const uses = end.streams.size + end.notifiers.size + end.plainCalls + end.waiting.size;
    if (uses === 0) this.#sessions.delete(session);
  }
}

interface Plainness {
  /** Whether the client knows no tasks, and so hears nothing but questions, where it waits for the end. Absent: it knows them. */
  readonly isPlain?: boolean;
}

/** Where a task came from. */
interface Origin extends Plainness {
  readonly session: SessionKey | undefined;
  readonly call: Call;
  readonly progressToken: unknown;
  /** As `ToolPolicy`. */
  readonly heartbeatMs?: number | undefined;
}
