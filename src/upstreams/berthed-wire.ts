import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest } from "../protocol/jsonrpc.ts";
import type { Asking, AskListener, PickUp, Wire } from "./wire.ts";

/** A wire that says when it has been closed, and not before: then its berth is somebody else's. */
export class BerthedWire implements Wire {
  readonly #wire: Wire;
  readonly #onClosed: (wire: Wire) => void;
  #closing: Promise<void> | undefined;

  constructor(wire: Wire, onClosed: (wire: Wire) => void) {
    this.#wire = wire;
    this.#onClosed = onClosed;
  }

  get onMessage(): Wire["onMessage"] {
    return this.#wire.onMessage;
  }

  set onMessage(hear: Wire["onMessage"]) {
    this.#wire.onMessage = hear;
  }

  get onGarbage(): Wire["onGarbage"] {
    return this.#wire.onGarbage;
  }

  set onGarbage(hear: Wire["onGarbage"]) {
    this.#wire.onGarbage = hear;
  }

  get onLost(): Wire["onLost"] {
    return this.#wire.onLost;
  }

  set onLost(hear: Wire["onLost"]) {
    this.#wire.onLost = hear;
  }

  tell(message: JsonRpcMessage): Promise<void> {
    return this.#wire.tell(message);
  }

  ask(request: JsonRpcRequest, listener?: AskListener): Asking {
    return this.#wire.ask(request, listener);
  }

  get pickUp(): PickUp | undefined {
    return this.#wire.pickUp;
  }

  setProtocolVersion(version: string): void {
    this.#wire.setProtocolVersion(version);
  }

  initialized(notification?: JsonRpcNotification): Promise<void> {
    return this.#wire.initialized(notification);
  }

  hearChanges(): () => void {
    return this.#wire.hearChanges?.() ?? (() => {});
  }

  /** Once for all who say so: a second would not wait for the first. */
  close(state?: "left"): Promise<void> {
    this.#closing ??= this.#wire.close(state).finally(() => this.#onClosed(this));
    return this.#closing;
  }
}
