import { BerthedWire } from "./berthed-wire.ts";
import { Berths, type BerthsOptions, type BerthWait } from "./berths.ts";
import { stopping } from "./failure.ts";
import { Restarts } from "./restarts.ts";
import type { Wire } from "./wire.ts";
import type { Use, Wires } from "./wires.ts";

export interface AdmissionOptions extends BerthsOptions {
  readonly wires: Wires;
  /** Whether a session is a process, which may fail to start. */
  readonly hasProcesses: boolean;
}

/** The only way to new sessions with a server: each has a berth until its wire is closed, whoever opened it. */
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
   * Makes something of a new wire, as soon as there is a berth for it, or gives what `wait.instead` has. The wire is closed
   * when `use` fails.
   * @throws UpstreamFailure, and whatever `use` throws
   */
  async open<T>(headers: Readonly<Record<string, string>>, use: Use<T>, wait: BerthWait<T> = {}): Promise<T> {
    // Nobody is made to leave for a process that will not be started.
    this.#restarts?.check();
    const berth = await this.#berths.take(wait);
    if ("instead" in berth) return berth.instead;
    // One wire may be tried after the other, and both have the berth.
    let users = 1;
    const drop = () => {
      users -= 1;
      if (users === 0) berth.leave();
    };
    const onClosed = (wire: Wire) => {
      this.#open.delete(wire);
      drop();
    };
    const start = () =>
      this.#wires.open(headers, (wire) => {
        users += 1;
        return this.#use(new BerthedWire(wire, onClosed), use);
      });
    try {
      if (this.#isClosed) throw stopping();
      return await (this.#restarts === undefined ? start() : this.#restarts.attempt(start));
    } finally {
      drop();
    }
  }

  /** To be called when a session is of no use any more to whoever has it. */
  review(): void {
    this.#berths.review();
  }

  /** Settles when every wire is closed, also those on which a session is being opened. */
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
