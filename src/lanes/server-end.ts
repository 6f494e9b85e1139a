import type {
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  JsonRpcResponse,
} from "../protocol/jsonrpc.ts";
import { type AnswerListener, TrunkWire } from "../upstreams/branch-wire.ts";
import { slowToStart, UpstreamFailure } from "../upstreams/failure.ts";
import { inTime } from "../upstreams/in-time.ts";
import type { Lease } from "../upstreams/pool.ts";
import type { SessionHolder } from "../upstreams/session.ts";
import type { Wire } from "../upstreams/wire.ts";
import type { Identified } from "./lane.ts";
import { keep } from "./message-bytes.ts";

export interface ServerEndOptions {
  readonly who: Identified;
  /** Called with what the server says that is no answer. */
  readonly onMessage: (message: JsonRpcRequest | JsonRpcNotification) => void;
  /** The server has gone, or forgotten the session: what it was asked fails right after. */
  readonly onLost: () => void;
}

/** The server's end of a pair: a session that is opened with the client's own `initialize`. */
export class ServerEnd {
  readonly #options: ServerEndOptions;
  #wire: TrunkWire | undefined;
  #isClosed = false;
  #over = () => {};

  constructor(options: ServerEndOptions) {
    this.#options = options;
  }

  /** Gives the server's answer, whatever it is. @throws UpstreamFailure */
  open(initialize: JsonRpcRequest): Promise<JsonRpcResponse> {
    const { route, caller } = this.#options.who;
    this.#over = route.upstream.use();
    return route.upstream.pair(caller.headers, (wire) => this.#handshake(wire, initialize));
  }

  /** The version that was negotiated is said wherever the transport has a place for it. */
  setProtocolVersion(version: string): void {
    this.#wire?.setProtocolVersion(version);
  }

  /** Passes on that the client is ready. @throws UpstreamFailure */
  async initialized(notification: JsonRpcNotification): Promise<void> {
    const { startTimeoutMs } = this.#options.who.route.config.upstream;
    await inTime(startTimeoutMs, this.#opened().initialized(notification), () =>
      slowToStart("take notifications/initialized", startTimeoutMs),
    );
  }

  /** Sends a notification or an answer. */
  tell(message: JsonRpcMessage): void {
    const letGo = keep(message);
    void Promise.resolve(this.#wire?.tell(message)).finally(letGo);
  }

  /** Sends a request. Returns how to let go of the answer. */
  ask(request: JsonRpcRequest, listener: AnswerListener): () => void {
    return this.#opened().ask(request, listener);
  }

  /** The session, for one call on the client's behalf. */
  join(holder: SessionHolder): Lease {
    return this.#opened().join(holder);
  }

  /** Settles when the server has no session any more. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#over();
    await this.#wire?.close();
  }

  /** It may be tried on one wire after another. @throws UpstreamFailure */
  async #handshake(wire: Wire, initialize: JsonRpcRequest): Promise<JsonRpcResponse> {
    if (this.#isClosed) throw new UpstreamFailure("The client has left", { mayHaveRun: false });
    const { onMessage, onLost } = this.#options;
    const trunk = new TrunkWire({ wire, onMessage, onLost });
    this.#wire = trunk;
    return new Promise((onAnswer, onFailure) => {
      trunk.ask(initialize, { onAnswer, onFailure });
    });
  }

  #opened(): TrunkWire {
    if (this.#wire === undefined) throw new Error("the session is not open");
    return this.#wire;
  }
}
