import { stopping } from "../failure.ts";
import type { Use, Wires } from "../transports/open.ts";
import type { JoinedSession, Wire } from "../transports/transport.ts";
import { Restarts } from "./restarts.ts";
import { Berths, type BerthsOptions, type BerthWait } from "./session-limit.ts";

type Headers = Readonly<Record<string, string>>;

export interface AdmissionOptions extends BerthsOptions {
  readonly wires: Wires;
  /** Whether a session is a process, which may fail to start. */
  readonly hasProcesses: boolean;
}

/** The only way to open a session with a server. Each session occupies a berth until its wire is closed, whoever opened it. */
export class Admission {
  readonly #wires: Wires;
  readonly #berths: Berths;
  readonly #restarts: Restarts | undefined;
  readonly #open = new Set<Wire>();
  #isClosed = false;

  constructor(options: AdmissionOptions) {
    this.#wires = options.wires;
    this.#berths = new Berths(options);
    this.#restarts = options.hasProcesses ? new Restarts() : undefined;
  }

  /**
   * Runs `use` on a new wire as soon as a berth is free, or returns what `wait.instead` gives. Closes the wire when `use` fails.
   * @param onLeft called when the session has left its berth
   * @throws UpstreamFailure, and whatever `use` throws
   */
  async open<T>(headers: Headers, use: Use<T>, wait: BerthWait<T> = {}, onLeft = () => {}): Promise<T> {
    // Before taking a berth: no session is ended to make room for a process that will not be started.
    this.#restarts?.check();
    const start = (berthed: Use<T>) => this.#wires.open(headers, berthed);
    return this.#begin(
      (berthed) =>
        this.#restarts === undefined ? start(berthed) : this.#restarts.attempt(() => start(berthed)),
      use,
      wait,
      onLeft,
    );
  }

  /** Like `open`, in a session that another replica opened: the server has room for it already, but it occupies a berth here. */
  rejoin<T>(headers: Headers, joined: JoinedSession, use: Use<T>, wait: BerthWait<T> = {}): Promise<T> {
    return this.#begin((berthed) => this.#wires.rejoin(headers, joined, berthed), use, wait);
  }

  async #begin<T>(
    start: (berthed: Use<T>) => Promise<T>,
    use: Use<T>,
    wait: BerthWait<T>,
    onLeft = () => {},
  ): Promise<T> {
    const berth = await this.#berths.take(wait);
    if ("instead" in berth) return berth.instead;
    // `start` may try two wires in turn (`transport: auto`); both occupy this one berth.
    let users = 1;
    const drop = () => {
      users -= 1;
      if (users > 0) return;
      berth.leave();
      onLeft();
    };
    const onClosed = (wire: Wire) => {
      this.#open.delete(wire);
      drop();
    };
    try {
      if (this.#isClosed) throw stopping();
      return await start((wire) => {
        users += 1;
        return this.#use(sayingWhenClosed(wire, onClosed), use);
      });
    } finally {
      drop();
    }
  }

  /** Call this when a session has become idle: it may be ended to make room for waiting calls. */
  review(): void {
    this.#berths.review();
  }

  /** Settles when every wire is closed, including those on which a session is still being opened. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#berths.close();
    await Promise.all([...this.#open].map((wire) => wire.close()));
  }

  async #use<T>(wire: Wire, use: Use<T>): Promise<T> {
    this.#open.add(wire);
    try {
      if (this.#isClosed) throw stopping();
      return await use(wire);
    } catch (error) {
      await wire.close();
      throw error;
    }
  }
}

/** Makes `wire.close` call `onClosed` once, and only when closing is done: until then nobody else may have the wire's berth. */
function sayingWhenClosed(wire: Wire, onClosed: (wire: Wire) => void): Wire {
  const close = wire.close.bind(wire);
  let closing: Promise<void> | undefined;
  wire.close = (state) => {
    closing ??= close(state).finally(() => onClosed(wire));
    return closing;
  };
  return wire;
}
