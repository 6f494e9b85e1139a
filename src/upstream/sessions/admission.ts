import { stopping } from "../failure.ts";
import type { Presence } from "../presence.ts";
import type { Transports, Use } from "../transports/open.ts";
import type { JoinedSession, Transport } from "../transports/transport.ts";
import { Restarts } from "./restarts.ts";
import { type PlaceWait, SessionLimit, type SessionLimitOptions } from "./session-limit.ts";

type Headers = Readonly<Record<string, string>>;

export interface AdmissionOptions extends SessionLimitOptions {
  readonly transports: Transports;
  /** Whether a session is a process, which may fail to start. */
  readonly hasProcesses: boolean;
  readonly presence: Presence;
}

/** The only way to open a session with a server. Each session occupies a place until its transport is closed, whoever opened it. */
export class Admission {
  readonly #transports: Transports;
  readonly #sessionLimit: SessionLimit;
  readonly #restarts: Restarts | undefined;
  readonly #presence: Presence;
  readonly #open = new Set<Transport>();
  #isClosed = false;

  constructor(options: AdmissionOptions) {
    this.#transports = options.transports;
    this.#presence = options.presence;
    this.#sessionLimit = new SessionLimit(options);
    this.#restarts = options.hasProcesses ? new Restarts() : undefined;
  }

  /**
   * Runs `use` on a new transport as soon as a place is free, or returns what `wait.instead` gives. Closes the transport when `use` fails.
   * @param onLeft called when the session has left its places
   * @throws UpstreamFailure, and whatever `use` throws
   */
  async open<T>(headers: Headers, use: Use<T>, wait: PlaceWait<T>, onLeft = () => {}): Promise<T> {
    // Before taking a place: no session is ended to make room for a process that will not be started.
    this.#restarts?.check();
    const start = (withPlace: Use<T>) => this.#transports.open(headers, withPlace);
    return this.#begin(
      (withPlace) =>
        this.#restarts === undefined ? start(withPlace) : this.#restarts.attempt(() => start(withPlace)),
      use,
      wait,
      onLeft,
    );
  }

  /** Like `open`, in a session that another replica opened: the server has room for it already, but it occupies a place here. */
  rejoin<T>(headers: Headers, joined: JoinedSession, use: Use<T>, wait: PlaceWait<T>): Promise<T> {
    return this.#begin((withPlace) => this.#transports.rejoin(headers, joined, withPlace), use, wait);
  }

  async #begin<T>(
    start: (withPlace: Use<T>) => Promise<T>,
    use: Use<T>,
    wait: PlaceWait<T>,
    onLeft = () => {},
  ): Promise<T> {
    const place = await this.#sessionLimit.take(wait);
    if ("instead" in place) return place.instead;
    // `start` may try two transports in turn (`transport: auto`); both occupy this one places.
    let users = 1;
    const drop = () => {
      users -= 1;
      if (users > 0) return;
      place.leave();
      onLeft();
    };
    const onClosed = (transport: Transport) => {
      this.#open.delete(transport);
      drop();
    };
    try {
      if (this.#isClosed) throw stopping();
      const started = await start((transport) => {
        users += 1;
        return this.#use(sayingWhenClosed(transport, onClosed), use);
      });
      this.#presence.answered();
      return started;
    } catch (error) {
      this.#presence.failed(error);
      throw error;
    } finally {
      drop();
    }
  }

  /** How many sessions are open, or being opened. */
  get sessions(): number {
    return this.#sessionLimit.taken;
  }

  /** Call this when a session has become idle: it may be ended to make room for waiting calls. */
  review(): void {
    this.#sessionLimit.review();
  }

  /** Passes a signal on to every process of the server. */
  signal(signal: NodeJS.Signals): void {
    for (const transport of this.#open) transport.signal?.(signal);
  }

  /** Settles when every transport is closed, including those on which a session is still being opened. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#sessionLimit.close();
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

/** Makes `transport.close` call `onClosed` once, and only when closing is done: until then nobody else may have the transport's places. */
function sayingWhenClosed(transport: Transport, onClosed: (transport: Transport) => void): Transport {
  const close = transport.close.bind(transport);
  let closing: Promise<void> | undefined;
  transport.close = (state) => {
    closing ??= close(state).finally(() => onClosed(transport));
    return closing;
  };
  return transport;
}
