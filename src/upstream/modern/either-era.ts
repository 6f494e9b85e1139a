import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest } from "../../protocol/jsonrpc.ts";
import type { ProgramInfo } from "../../protocol/modern.ts";
import type { Asking, AskListener, Transport } from "../transports/transport.ts";
import { BridgedTransport, type CallMaker } from "./bridged-transport.ts";
import { OneStream } from "./one-stream.ts";

export interface EitherEraOptions {
  /** Carries messages in one stream, of whichever era. */
  readonly transport: Transport;
  /** The gateway's own program. */
  readonly clientInfo: ProgramInfo;
  /** Called when the server turns out to speak only 2026-07-28. */
  readonly onModern: () => void;
}

/** How long a server that has refused `initialize` may take to answer `server/discover`, which an older one may leave unanswered. */
const PATIENCE_MS = 5_000;

/**
 * A session with a server over stdio, which shows its era with the answer to `initialize`: one that speaks only 2026-07-28 refuses that
 * (Versioning §Compatibility Matrix), answers `server/discover`, and is then asked in the way of its revision.
 */
export class EitherEraTransport implements Transport {
  onMessage: Transport["onMessage"] = () => {};
  onGarbage: Transport["onGarbage"] = () => {};
  onLost: Transport["onLost"] = () => {};

  readonly #options: EitherEraOptions;
  readonly #transport: Transport;
  readonly #pass = (message: JsonRpcMessage): void => this.onMessage(message);
  /** Present once the server has turned out to speak only 2026-07-28. */
  #bridged: BridgedTransport | undefined;

  constructor(options: EitherEraOptions) {
    this.#options = options;
    const { transport } = options;
    this.#transport = transport;
    transport.onMessage = this.#pass;
    transport.onGarbage = (error) => this.onGarbage(error);
    transport.onLost = () => this.onLost();
  }

  get calls(): CallMaker | undefined {
    return this.#bridged?.calls;
  }

  ask(request: JsonRpcRequest, listener?: AskListener): Asking {
    if (this.#bridged !== undefined) return this.#bridged.ask(request, listener);
    return request.method === "initialize"
      ? this.#initialize(request, listener)
      : this.#transport.ask(request, listener);
  }

  tell(message: JsonRpcMessage): Promise<void> {
    return this.#present.tell(message);
  }

  setProtocolVersion(version: string): void {
    this.#present.setProtocolVersion(version);
  }

  initialized(notification?: JsonRpcNotification): Promise<void> {
    return this.#bridged?.initialized() ?? this.#transport.initialized(notification);
  }

  signal(signal: NodeJS.Signals): void {
    this.#transport.signal?.(signal);
  }

  async close(state?: "handedOff"): Promise<void> {
    await this.#bridged?.close();
    await this.#transport.close(state);
  }

  get #present(): Transport {
    return this.#bridged ?? this.#transport;
  }

  #initialize(request: JsonRpcRequest, listener?: AskListener): Asking {
    const older = this.#transport.ask(request, listener);
    let stop = older.stop;
    const ended = new Promise<void>((resolve, reject) => {
      this.#transport.onMessage = (message) => {
        if ("method" in message || message.id !== request.id) return this.onMessage(message);
        this.#transport.onMessage = this.#pass;
        if (!("error" in message)) return this.onMessage(message);
        older.stop();
        const modern = this.#asModern(request, listener, message);
        stop = modern.stop;
        modern.ended.then(resolve, reject);
      };
      older.ended.then(resolve, reject);
    });
    return { ended, stop: () => stop() };
  }

  /** Asks again in the way of 2026-07-28. If that fails too, the server's first answer says more. */
  #asModern(request: JsonRpcRequest, listener: AskListener | undefined, refusal: JsonRpcMessage): Asking {
    const { transport, clientInfo, onModern } = this.#options;
    const stream = new OneStream(transport);
    const bridged = new BridgedTransport({
      ask: (_, asking) => stream.ask(asking),
      clientInfo,
      isOnlyHere: true,
    });
    bridged.onGarbage = (error) => this.onGarbage(error);
    const giveUp = () => {
      transport.onMessage = this.#pass;
      this.onMessage(refusal);
    };
    bridged.onMessage = (answer) => {
      if ("error" in answer) return giveUp();
      this.#bridged = bridged;
      bridged.onMessage = this.#pass;
      onModern();
      this.onMessage(answer);
    };
    const { ended, stop } = bridged.ask(request, listener);
    const late = setTimeout(stop, PATIENCE_MS);
    return { ended: ended.catch(giveUp).finally(() => clearTimeout(late)), stop };
  }
}
