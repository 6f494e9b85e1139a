import { setMaxListeners } from "node:events";
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import { type Policy, policyOf } from "./calls/policy.ts";
import { Slots } from "./calls/slots.ts";
import type { ServerConfig } from "./config/config.ts";
import { once } from "./lib/once.ts";
import type { Route } from "./requests/request.ts";
import type { Upstream } from "./upstream/upstream.ts";

export interface RoutesOptions {
  /** Makes what speaks to a server; opens nothing yet. `before`: what speaks to the server in whose place it comes. */
  readonly open: (config: ServerConfig, log: Logger, before?: Upstream) => Upstream;
  readonly log: Logger;
  /** Whether a client has a session of its own with the server, which the gateway keeps until the client leaves. */
  readonly isHeld: (route: Route) => boolean;
  /** Called when a server has drained whose name no other has. */
  readonly onGone: (name: string) => void;
}

/** What one configuration of the servers made of the one before, by their names. */
export interface RoutesChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Another path, address, command or size of messages: they have new sessions, and the old ones drain. */
  readonly replaced: readonly string[];
  /** Only what concerns the calls of their tools is different. */
  readonly ruled: readonly string[];
}

/** How often to look whether a server that leaves has drained. */
const LOOK_MS = 250;
/** How many removed servers answer for their tasks; of more, those removed last. */
const MAX_REMOVED = 100;

/** The servers of the present configuration, and those of earlier ones that still drain or answer for their tasks. */
export class Routes {
  readonly #options: RoutesOptions;
  /** In the order of the configuration. */
  #served: readonly ServedRoute[] = [];
  #removed: readonly ServedRoute[] = [];
  #byPath: ReadonlyMap<string, Route> = new Map();
  readonly #leaving = new Set<ServedRoute>();
  readonly #closing = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(servers: readonly ServerConfig[], options: RoutesOptions) {
    this.#options = options;
    this.apply(servers);
  }

  get served(): readonly Route[] {
    return this.#served;
  }

  /** Those that have been removed or replaced, and have not drained yet. */
  get leaving(): readonly Route[] {
    return [...this.#leaving];
  }

  /** Also removed ones, for their tasks. The same map until there is another configuration. */
  get byPath(): ReadonlyMap<string, Route> {
    return this.#byPath;
  }

  find(name: string): Route | undefined {
    return this.#served.find(({ config }) => config.name === name);
  }

  /** Takes over another configuration of the servers, all of it at once. */
  apply(servers: readonly ServerConfig[]): RoutesChange {
    const before = new Map(this.#served.map((route) => [route.config.name, route]));
    const ruled: ServedRoute[] = [];
    const [added, replaced]: [string[], string[]] = [[], []];
    const next = servers.map((config) => {
      const present = before.get(config.name);
      if (present !== undefined && isSameServer(present.config, config)) {
        if (!isSame(rulesOf(present.config), rulesOf(config))) ruled.push(present);
        before.delete(config.name);
        return { route: present, config };
      }
      (present === undefined ? added : replaced).push(config.name);
      return { route: this.#newRoute(config, present), config };
    });
    // From here on nothing can fail.
    for (const { route, config } of next) route.configure(config);
    this.#served = next.map(({ route }) => route);
    const removed = [...before.values()].filter(({ config }) => !replaced.includes(config.name));
    const isTaken = ({ config }: Route) =>
      servers.some(({ name, path }) => name === config.name || path === config.path);
    this.#removed = [...this.#removed, ...removed].filter((route) => !isTaken(route)).slice(-MAX_REMOVED);
    this.#byPath = new Map([...this.#removed.flatMap(byItsPaths), ...this.#served.flatMap(byItsPaths)]);
    for (const route of before.values()) this.#leave(route, removed.includes(route));
    for (const route of ruled) route.tellOfRules();
    return { added, removed: namesOf(removed), replaced, ruled: namesOf(ruled) };
  }

  /** Settles when no session with any server is open. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const route of [...this.#served, ...this.#leaving]) this.#close(route);
    await Promise.all(this.#closing);
  }

  #newRoute(config: ServerConfig, before: Route | undefined): ServedRoute {
    const log = this.#options.log.child({ server: config.name });
    return new ServedRoute(config, this.#options.open(config, log, before?.upstream), log);
  }

  #leave(route: ServedRoute, isRemoved: boolean): void {
    this.#leaving.add(route);
    route.leave(isRemoved);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
  }

  #look(): void {
    for (const route of this.#leaving) if (!route.isInUse && !this.#options.isHeld(route)) this.#close(route);
    if (this.#leaving.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #close(route: ServedRoute): void {
    this.#leaving.delete(route);
    const { name } = route.config;
    const closing = route.close().finally(() => {
      this.#closing.delete(closing);
      const isThere = [...this.#served, ...this.#leaving].some(({ config }) => config.name === name);
      if (!isThere) this.#options.onGone(name);
    });
    this.#closing.add(closing);
  }
}

class ServedRoute implements Route {
  readonly upstream: Upstream;
  readonly slots: Slots;
  readonly log: Logger;
  #config: ServerConfig;
  #policy: Policy;
  #requests = 0;
  #isRemoved = false;
  #isClosed = false;
  readonly #leaving = new AbortController();
  readonly #hearers = new Set<() => void>();

  constructor(config: ServerConfig, upstream: Upstream, log: Logger) {
    this.#config = config;
    this.#policy = policyOf(config);
    this.upstream = upstream;
    this.log = log;
    const limits = () => this.#config;
    this.slots = new Slots({
      get maxConcurrent() {
        return limits().maxConcurrent;
      },
      get maxQueued() {
        return limits().maxQueued;
      },
    });
    // Every subscription listens to it.
    setMaxListeners(0, this.#leaving.signal);
  }

  get config(): ServerConfig {
    return this.#config;
  }

  get policy(): Policy {
    return this.#policy;
  }

  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether a request that came before it left, or a call, may need the server. */
  get isInUse(): boolean {
    return this.#requests > 0 || !this.slots.isIdle;
  }

  enter(): () => void {
    // What comes later gets an answer from what is still there, and keeps nothing open.
    if (this.leaving.aborted) return () => {};
    this.#requests += 1;
    return once(() => {
      this.#requests -= 1;
    });
  }

  onRules(changed: () => void): () => void {
    this.#hearers.add(changed);
    return () => void this.#hearers.delete(changed);
  }

  configure(config: ServerConfig): void {
    this.#config = config;
    this.#policy = policyOf(config);
    this.slots.review();
  }

  tellOfRules(): void {
    for (const changed of [...this.#hearers]) changed();
  }

  leave(isRemoved: boolean): void {
    this.#isRemoved = isRemoved;
    this.#leaving.abort();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.upstream.close();
  }
}

/** How long a message of the server may be: room for the message around the result, and for saying how much too large a result was. */
export function maxMessageBytes({ tasks, tools }: Pick<ServerConfig, "tasks" | "tools">): number {
  return 2 * Math.max(tasks.maxResultBytes, ...tools.map(({ maxResultBytes }) => maxResultBytes)) + 65_536;
}

/** Whether the sessions of one serve the other. */
function isSameServer(one: ServerConfig, other: ServerConfig): boolean {
  const fixed = (config: ServerConfig) => [config.path, config.upstream, maxMessageBytes(config)];
  return isSame(fixed(one), fixed(other));
}

function rulesOf({ tasks, tools, maxConcurrent, maxQueued }: ServerConfig): object {
  return { tasks, tools, maxConcurrent, maxQueued };
}

/** Compares by what is written in them, URLs too, which not every Node looks into. */
function isSame(one: object, other: object): boolean {
  return isDeepStrictEqual(JSON.parse(JSON.stringify(one)), JSON.parse(JSON.stringify(other)));
}

function byItsPaths(route: Route): readonly (readonly [string, Route])[] {
  return [route.config.path, ...route.config.aliases].map((path) => [path, route]);
}

function namesOf(routes: readonly Route[]): readonly string[] {
  return routes.map(({ config }) => config.name);
}
