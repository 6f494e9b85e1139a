import { stopping } from "../failure.ts";
import type { Transports, Use } from "../transports/open.ts";
import type { JoinedSession, Transport } from "../transports/transport.ts";
import { Restarts } from "./restarts.ts";
import { Berths, type BerthsOptions, type BerthWait } from "./session-limit.ts";

type Headers = Readonly<Record<string, string>>;

export interface AdmissionOptions extends BerthsOptions {
  readonly transports: Transports;
  /** Whether a session is a process, which may fail to start. */
  readonly hasProcesses: boolean;
}

/** The only way to open a session with a server. Each session occupies a berth until its transport is closed, whoever opened it. */
export class Admission {
  readonly #transports: Transports;
  readonly #berths: Berths;
  readonly #restarts: Restarts | undefined;
  readonly #open = new Set<Transport>();
  #isClosed = false;

  constructor(options: AdmissionOptions) {
    this.#transports = options.transports;
    this.#berths = new Berths(options);
    this.#restarts = options.hasProcesses ? new Restarts() : undefined;
  }

  /**
   * Runs `use` on a new transport as soon as a berth is free, or returns what `wait.instead` gives. Closes the transport when `use` fails.
   * @param onLeft called when the session has left its berth
   * @throws UpstreamFailure, and whatever `use` throws
   */
  async open<T>(headers: Headers, use: Use<T>, wait: BerthWait<T> = {}, onLeft = () => {}): Promise<T> {
    // Before taking a berth: no session is ended to make room for a process that will not be started.
    this.#restarts?.check();
    const start = (berthed: Use<T>) => this.#transports.open(headers, berthed);
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
    return this.#begin((berthed) => this.#transports.rejoin(headers, joined, berthed), use, wait);
  }

  async #begin<T>(
    start: (berthed: Use<T>) => Promise<T>,
    use: Use<T>,
    wait: BerthWait<T>,
    onLeft = () => {},
  ): Promise<T> {
    const berth = await this.#berths.take(wait);
    if ("instead" in berth) return berth.instead;
    // `start` may try two transports in turn (`transport: auto`); both occupy this one berth.
    let users = 1;
    const drop = () => {
      users -= 1;
      if (users > 0) return;
      berth.leave();
      onLeft();
    };
    const onClosed = (transport: Transport) => {
      this.#open.delete(transport);
      drop();
    };
    try {
      if (this.#isClosed) throw stopping();
      return await start((transport) => {
        users += 1;
        return this.#use(sayingWhenClosed(transport, onClosed), use);
      });
    } finally {
      drop();
    }
  }

  /** Call this when a session has become idle: it may be ended to make room for waiting calls. */
  review(): void {
    this.#berths.review();
  }

  /** Settles when every transport is closed, including those on which a session is still being opened. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#berths.close();
    await Promise.all([...this.#open].map((transport) => transport.close()));
  }

  async #use<T>(transport: Transport, use: Use<T>): Promise<T> {
    this.#open.add(transport);
    try {
      if (this.#isClosed) throw stopping();
      return await use(transport);
    } catch (error) {
      await transport.close();
      throw error;
    }
  }
}

/** Makes `transport.close` call `onClosed` once, and only when closing is done: until then nobody else may have the transport's berth. */
function sayingWhenClosed(transport: Transport, onClosed: (transport: Transport) => void): Transport {
  const close = transport.close.bind(transport);
  let closing: Promise<void> | undefined;
  transport.close = (state) => {
    closing ??= close(state).finally(() => onClosed(transport));
    return closing;
  };
  return transport;
}
