import { RpcError } from "../protocol/errors.ts";
import type { JsonObject, JsonRpcMessage, JsonRpcResponse } from "../protocol/jsonrpc.ts";
import { type Checkpoint, StoreUnavailable } from "../stores/task-store.ts";
import { isForgotten } from "../upstreams/control.ts";
import { isUnusable, toFailure, UpstreamFailure } from "../upstreams/failure.ts";
import type { Lease, RejoinedLease } from "../upstreams/pool.ts";
import type {
  CallSession,
  RequestListener,
  RequestPlace,
  SessionHolder,
  UpstreamRequest,
} from "../upstreams/session.ts";

/** Where a call gets a session from, unless it is over before. @throws UpstreamFailure */
export type Leasing<L extends Lease> = (holder: SessionHolder, over: AbortSignal) => Promise<L>;

export interface SendingOptions {
  readonly lease: Leasing<Lease>;
  readonly method: string;
  readonly params: JsonObject;
  readonly logLevel?: string;
  /** Headers that go along with this request only. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Where to go on with a request that another process has sent. Absent: it is sent from here. */
  readonly resume?: Checkpoint;
  /** Where the session of `resume` comes from. */
  readonly rejoin?: Leasing<RejoinedLease>;
  /** Which time the request is sent, if others have sent it before, and nobody knows what became of that. */
  readonly run?: number;
  /** Whether the request may be sent again when its answer cannot be picked up (`onLoss: retry`). Absent: no. */
  readonly mayRepeat?: boolean;
}

/** Whose request it is. */
export interface Sender {
  readonly holder: SessionHolder;
  readonly listener: Pick<RequestListener, "onProgress" | "onAccepted">;
  /** Whether the call is over, and if so, whether somebody else goes on with it. */
  over(): "over" | "left" | undefined;
  /** What has to be done before the request is sent for the first time. */
  beforeSend(): Promise<void> | undefined;
  /** The request is on its way, perhaps not for the first time. */
  onSent(): void;
  /** The session is there again in which another process has sent the request. */
  onRejoined(session: CallSession): void;
  /** That was in vain, and the request is about to be sent again. */
  onRepeat(): void;
  onPlace(): void;
}

/** How long a cancelled call keeps its session, for the server to hear of it and to come to rest. */
const CANCEL_GRACE_MS = 2_000;

/** How a call's request gets to the server: the session that is leased for it, and the request that is under way on it. */
export class Sending {
  readonly #options: SendingOptions;
  readonly #sender: Sender;
  /** Gives up waiting for a session; there only while one does. */
  #waiting: AbortController | undefined;
  #lease: Lease | undefined;
  #request: UpstreamRequest | undefined;
  /** What is to be gone on with, until that has been tried. */
  #resume: Checkpoint | undefined;
  #place: RequestPlace | undefined;
  #mayHaveBegun = false;
  #cancelled: string | undefined;

  constructor(options: SendingOptions, sender: Sender) {
    this.#options = options;
    this.#sender = sender;
    this.#resume = options.resume;
    this.#place = options.resume;
  }

  /** Where somebody else could go on waiting for the answer; undefined where nobody could. */
  get place(): RequestPlace | undefined {
    return this.#place;
  }

  /** What the server sent on a stream that is not the call's own. Whether it was meant for the call. */
  hear(message: JsonRpcMessage): boolean {
    return this.#lease?.session.hear(message) ?? false;
  }

  /** Gets the request to the server, or goes on with it, and waits for the answer. */
  async exchange(): Promise<JsonRpcResponse> {
    const resume = this.#resume;
    if (resume !== undefined) {
      try {
        return await this.#goOn(resume);
      } catch (error) {
        const isRepeated = this.#options.mayRepeat && error instanceof NotPickedUp;
        if (!isRepeated || this.#sender.over() !== undefined) throw error;
        this.#sender.onRepeat();
      } finally {
        this.#resume = undefined;
      }
    }
    for (;;) {
      const lease = await this.#leased(this.#options.lease);
      try {
        const response = await this.#send(lease);
        lease.release(this.#sender.over() === undefined ? "quiet" : "doubtful");
        return response;
      } catch (error) {
        // A server that has answered, however badly, is done with the call.
        const isDone = isUnusable(toFailure(error)) && this.#sender.over() === undefined;
        const isLost = isForgotten(toFailure(error));
        lease.release(isDone ? "quiet" : isLost ? "lost" : "doubtful");
        if (error instanceof RpcError || error instanceof StoreUnavailable) throw error;
        // The server has forgotten a session that was idle, and has not looked at the request, so sending it again is safe.
        const failure = toFailure(error);
        if (!lease.isReused || !isForgotten(failure) || this.#sender.over() !== undefined) throw failure;
      } finally {
        this.#rest();
      }
    }
  }

  /** Tells the server that the answer is not wanted, as soon as it can be told. */
  cancel(reason: string): void {
    this.#cancelled = reason;
    this.#request?.cancel(reason);
  }

  /** To be called when the call is over that was cancelled: does not wait for the server any longer than it has to. */
  settle(): void {
    // What is under way already has to be told first, and for that its session has to be found.
    if (this.#resume === undefined || this.#lease !== undefined) this.#waiting?.abort(neverSent());
    else this.#soon(() => this.#waiting?.abort(neverSent()));
    const lease = this.#lease;
    if (lease !== undefined) this.#soon(() => lease.release("doubtful"));
  }

  /** Lets go of everything without a word to the server. A session that was not used yet is of no use to anybody. */
  leave(): void {
    this.#waiting?.abort(neverSent());
    this.#lease?.release(this.#mayHaveBegun ? "left" : "doubtful");
  }

  /** The rest of a request that another process has sent. */
  async #goOn(checkpoint: Checkpoint): Promise<JsonRpcResponse> {
    const { rejoin = cannotRejoin } = this.#options;
    this.#mayHaveBegun = true;
    let lease: RejoinedLease | undefined;
    let isPickedUp = false;
    try {
      lease = await this.#leased(rejoin);
      this.#lease = lease;
      if (this.#sender.over() === "left") throw neverSent();
      this.#sender.onRejoined(lease.session);
      const { onProgress, onAccepted } = this.#sender.listener;
      this.#request = lease.session.resume(checkpoint, {
        onProgress: (progress) => onProgress?.(progress),
        onAccepted: () => onAccepted?.(),
        onPlace: (place) => {
          isPickedUp = true;
          this.#reach(place);
        },
      });
      if (this.#cancelled !== undefined) this.#request.cancel(this.#cancelled);
      if (this.#sender.over() !== undefined) this.settle();
      return await this.#request.response;
    } catch (error) {
      throw isPickedUp ? error : new NotPickedUp(toFailure(error));
    } finally {
      lease?.release(this.#sender.over() === "left" ? "left" : "doubtful");
      this.#rest();
    }
  }

  async #leased<L extends Lease>(lease: Leasing<L>): Promise<L> {
    this.#waiting = new AbortController();
    try {
      return await lease(this.#sender.holder, this.#waiting.signal);
    } finally {
      this.#waiting = undefined;
    }
  }

  async #send(lease: Lease): Promise<JsonRpcResponse> {
    this.#refuseWhenOver();
    this.#lease = lease;
    const { method, params, logLevel, headers } = this.#options;
    if (logLevel !== undefined) {
      await lease.session.setLogLevel(logLevel);
      this.#refuseWhenOver();
    }
    const before = this.#sender.beforeSend();
    if (before !== undefined) {
      await before;
      this.#refuseWhenOver();
    }
    this.#mayHaveBegun = true;
    this.#request = lease.session.request(method, params, {
      ...this.#sender.listener,
      ...(headers === undefined ? {} : { headers }),
      onPlace: (place) => this.#reach(place),
    });
    this.#sender.onSent();
    return this.#request.response;
  }

  #reach(place: RequestPlace): void {
    if (this.#sender.over() !== undefined) return;
    this.#place = place;
    this.#sender.onPlace();
  }

  #rest(): void {
    this.#lease = undefined;
    this.#request = undefined;
    this.#place = undefined;
  }

  #refuseWhenOver(): void {
    if (this.#sender.over() !== undefined) throw neverSent();
  }

  /** Unless the server has come to rest before. */
  #soon(give: () => void): void {
    const timer = setTimeout(give, CANCEL_GRACE_MS);
    this.#request?.response.catch(() => {}).finally(() => clearTimeout(timer));
  }
}

/** What another process has sent is lost to this one as well. */
class NotPickedUp extends UpstreamFailure {
  constructor({ message, facts }: UpstreamFailure) {
    const { status, wwwAuthenticate, cause } = facts;
    super(
      `The gateway that ran the call stopped, and the server's answer could not be picked up: ${message}. Whether the work was done is not known`,
      {
        mayHaveRun: true,
        ...(status === undefined ? {} : { status }),
        ...(wwwAuthenticate === undefined ? {} : { wwwAuthenticate }),
        cause,
      },
    );
  }
}

function neverSent(): UpstreamFailure {
  return new UpstreamFailure("The call was cancelled before it was sent", { mayHaveRun: false });
}

const cannotRejoin: Leasing<RejoinedLease> = async () => {
  throw new UpstreamFailure("Its session with the server cannot be joined again", { mayHaveRun: true });
};
