import type { JsonRpcMessage, JsonText, RequestId } from "../protocol/jsonrpc.ts";
import type { TaskId } from "../stores/task-store.ts";
import type { Call } from "../tasks/call.ts";
import type { Claimant, TaskEngine } from "../tasks/engine.ts";
import { TaskRelay } from "./task-relay.ts";

/** A stream on which a client can be told something that it did not ask for. */
export interface Channel {
  readonly isOpen: boolean;
  /** Says whether it was sent. */
  send(message: JsonText): boolean;
}

/** A client's session, among all sessions of all routes and callers. */
export type SessionKey = string & { readonly __session: unique symbol };

export function sessionKey(
  { route, caller }: Claimant,
  sessionId: string | undefined,
): SessionKey | undefined {
  return sessionId === undefined ? undefined : (JSON.stringify([route, caller, sessionId]) as SessionKey);
}

/** A request that waits for a task to end. */
export interface Waiting {
  readonly task: TaskId;
  /** To be called when the client does not want to wait any longer. */
  letGo(): void;
}

/** What is known of a session while there is anything to know. */
interface ClientEnd {
  readonly channels: Set<Channel>;
  readonly relays: Set<TaskRelay>;
  /** How many of the client's own calls are with the server. */
  plainCalls: number;
  /** The client's requests that wait for a task to end. */
  readonly waiting: Map<RequestId, Waiting>;
  /** What to call when no call of the session's is a task any more. */
  readonly onQuiet: Set<() => void>;
}

/**
 * How the clients of 2025-11-25 are reached in the course of a task: on the streams of requests that wait for its end, else on
 * the stream that the session it began in listens on (Tasks §Input Required Status). All of it lasts as long as its connections
 * and calls do.
 */
export class Backchannels {
  readonly #engine: TaskEngine;
  readonly #sessions = new Map<SessionKey, ClientEnd>();
  readonly #relays = new Map<TaskId, TaskRelay>();

  constructor(engine: TaskEngine) {
    this.#engine = engine;
  }

  /** A session listens. Returns how to say that it does not any longer. */
  listen(session: SessionKey, channel: Channel): () => void {
    const end = this.#at(session);
    end.channels.add(channel);
    for (const relay of end.relays) relay.wake();
    return () => {
      end.channels.delete(channel);
      this.#tidy(session);
      for (const relay of end.relays) relay.wake();
    };
  }

  /** A call of a session's passes without becoming a task. Returns how to say that it has been answered. */
  pass(session: SessionKey): () => void {
    const end = this.#at(session);
    end.plainCalls += 1;
    return () => {
      end.plainCalls -= 1;
      this.#tidy(session);
    };
  }

  /** Whether what the server says on the stream that a session listens on may be meant for a task. */
  isHearing(session: SessionKey): boolean {
    return (this.#sessions.get(session)?.relays.size ?? 0) > 0;
  }

  /**
   * What the server says on that stream. Many servers ask there what they need to know for a call, and nothing in the
   * question says for which; while a session has no call but one, it can only be that. Says whether it was taken: then it is not
   * for the client to see.
   */
  hear(session: SessionKey, message: JsonRpcMessage): boolean {
    const end = this.#sessions.get(session);
    if (end === undefined) return false;
    const isAlone = end.relays.size === 1 && end.plainCalls === 0;
    return [...end.relays].some((relay) => relay.hear(message, isAlone));
  }

  /** Settles when no call of the session's is a task any more; at once if none is. */
  async quiet(session: SessionKey): Promise<void> {
    const end = this.#sessions.get(session);
    if (end !== undefined && end.relays.size > 0)
      await new Promise<void>((resolve) => end.onQuiet.add(resolve));
  }

  /** A request of a session waits for a task, until the returned function is called or the client takes it back. */
  wait(session: SessionKey, request: RequestId, wait: Waiting): () => void {
    const { waiting } = this.#at(session);
    waiting.set(request, wait);
    return () => {
      if (waiting.get(request) === wait) waiting.delete(request);
      this.#tidy(session);
    };
  }

  /** A connection of a session's has ended: what was asked there, and may have got lost, is asked where somebody still waits. */
  disconnected(session: SessionKey): void {
    const { waiting } = this.#sessions.get(session) ?? {};
    for (const { task } of waiting?.values() ?? []) this.#relays.get(task)?.wake();
  }

  /** The client does not want an answer to its request any longer; whether that was one that waits here. */
  letGo(session: SessionKey, request: unknown): boolean {
    const waiting = this.#sessions.get(session)?.waiting.get(request as RequestId);
    waiting?.letGo();
    return waiting !== undefined;
  }

  /** From now on the session in which a task began is told what happens to it, until it ends. */
  follow(id: TaskId, claimant: Claimant, { session, call, progressToken }: Origin): void {
    if (call.end !== undefined) return;
    const end = session === undefined ? undefined : this.#at(session);
    const relay = this.#relay(id, claimant);
    relay.follow(call, end?.channels);
    end?.relays.add(relay);
    call.listen({
      onProgress: (progress) => {
        if (progressToken !== undefined) relay.tell("notifications/progress", { progressToken, ...progress });
      },
      onNotification: ({ method, params }) => relay.tell(method, params ?? {}),
    });
    relay.onFollowed = () => {
      end?.relays.delete(relay);
      if (end?.relays.size === 0) for (const tell of end.onQuiet) tell();
      if (session !== undefined) this.#tidy(session);
      this.#drop(id);
    };
  }

  /** A request waits for the end of a task: what the task has to ask is asked there. Returns how to say that it has left. */
  attend(id: TaskId, claimant: Claimant, channel: Channel): () => void {
    const relay = this.#relay(id, claimant);
    const leave = relay.attend(channel);
    return () => {
      leave();
      this.#drop(id);
    };
  }

  /** A client has answered a question: if the task is its own, it need not be told that it is no longer asked. */
  answered(id: TaskId, key: string, claimant: Claimant): void {
    this.#relays.get(id)?.answered(key, claimant);
  }

  /** Nobody is told anything any more. */
  close(): void {
    for (const relay of this.#relays.values()) relay.close();
    this.#relays.clear();
    this.#sessions.clear();
  }

  #relay(id: TaskId, claimant: Claimant): TaskRelay {
    const relay = this.#relays.get(id) ?? new TaskRelay(this.#engine, id, claimant);
    this.#relays.set(id, relay);
    return relay;
  }

  #drop(id: TaskId): void {
    const relay = this.#relays.get(id);
    if (relay?.isIdle !== true) return;
    relay.close();
    this.#relays.delete(id);
  }

  #at(session: SessionKey): ClientEnd {
    const end = this.#sessions.get(session) ?? {
      channels: new Set(),
      relays: new Set(),
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
    const uses = end.channels.size + end.relays.size + end.plainCalls + end.waiting.size;
    if (uses === 0) this.#sessions.delete(session);
  }
}

/** Where a task came from. */
interface Origin {
  readonly session: SessionKey | undefined;
  readonly call: Call;
  readonly progressToken: unknown;
}
