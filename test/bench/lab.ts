import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, GATEWAY_COMMAND, type Program, Programs } from "../demo/programs.ts";
import { mcpProxy, supergateway } from "../peers/peers.ts";
import { listening } from "./connection.ts";
import type { Held } from "./holder.ts";
import type { Load, Measured } from "./measure.ts";
import { startNginx } from "./nginx.ts";
import { PROBED, type Probe, probeOf } from "./probe.ts";
import type { Request } from "./requests.ts";

export interface Target {
  readonly program: Pick<Program, "ask" | "stop">;
  readonly url: string;
  /** Of `gateway`, `nginx` and what `probed` started. */
  readonly probe: Probe;
  /** Makes load on it, one job at a time over all targets. */
  load(load: Load): Promise<Measured>;
  /** Opens streams on it from a process of their own, and resolves when each has had an event: with how to drop them all. */
  hold(request: Request, streams: number): Promise<() => Promise<void>>;
}

export interface GatewaySettings {
  /** The URL of the server, or the name of one of `servers/` that speaks stdio. */
  readonly upstream: string | { readonly stdio: string };
  /** `level`: a new directory, or one that is there. */
  readonly store: "memory" | "level" | { readonly level: string } | { readonly redis: string };
  /** As in the configuration file; so are those below. */
  readonly tasks?: Readonly<Record<string, unknown>>;
  readonly callers?: Readonly<Record<string, unknown>>;
  readonly webhooks?: Readonly<Record<string, unknown>>;
  /** Out of the way unless given. */
  readonly limits?: Readonly<Record<string, unknown>>;
}

/** What is measured is what the gateway does, and not when it does no more of it. */
const NO_LIMITS = { total: { tasks: 10_000_000, streams: 10_000_000, storedBytes: "1024gb" } };
/** Polls that come as fast as they can are not slowed. */
const POLLED_FAST = { pollInterval: "1ms", maxPollInterval: "1ms" };

const ANY_URL = /(http:\/\/127\.0\.0\.1:\d+\/\S*)/;
const WITH_TYPESCRIPT = ["--import", "tsx"];

/** The programs that take part, each a process of its own, and the client that makes the load. */
export class Lab {
  readonly #programs: Programs;
  readonly #folder: string;
  readonly #client: Program;
  readonly #profileFolder: string | undefined;
  #configured = 0;

  /** With a `profileFolder`, every gateway leaves a CPU profile there when it ends. */
  static async open(profileFolder?: string): Promise<Lab> {
    const folder = await mkdtemp(join(tmpdir(), "taskgate-bench-"));
    const programs = new Programs();
    const client = await programs.start("the load client", [script("load.ts")], {
      ready: /ready/,
      nodeFlags: WITH_TYPESCRIPT,
    });
    return new Lab(programs, folder, client, profileFolder);
  }

  private constructor(programs: Programs, folder: string, client: Program, profileFolder?: string) {
    this.#programs = programs;
    this.#folder = folder;
    this.#client = client;
    this.#profileFolder = profileFolder;
  }

  /** Starts one of `servers/`. */
  async server(name: string): Promise<Target> {
    const options = { ready: ANY_URL, nodeFlags: WITH_TYPESCRIPT };
    const program = await this.#programs.start(name, [script(`servers/${name}.ts`)], options);
    return this.#target(program, program.ready[1] ?? "");
  }

  /** Starts one of `servers/` that is asked for time and memory. @param argument the URL of the server that it stands before, or its answer */
  async probed(name: string, argument?: string): Promise<Target> {
    const options = { ready: ANY_URL, nodeFlags: [...WITH_TYPESCRIPT, ...PROBED] };
    const args = argument === undefined ? [] : [argument];
    const program = await this.#programs.start(name, [script(`servers/${name}.ts`), ...args], options);
    return this.#target(program, program.ready[1] ?? "");
  }

  /** `undefined` where there is none, which is said aloud. */
  async nginx(upstream: string): Promise<Target | undefined> {
    this.#configured += 1;
    const nginx = await startNginx(new URL(upstream), join(this.#folder, `nginx-${this.#configured}`));
    if (nginx === undefined) {
      console.warn("SKIPPED nginx, which is not installed (Debian: nginx-light). The table is without it.");
      return undefined;
    }
    const ask = () => Promise.reject(new Error("nginx answers no questions"));
    return { ...this.#target({ ask, stop: nginx.stop }, nginx.url), probe: nginx.probe };
  }

  /** Starts a client that has one of `servers/` at the other end of its pipes. */
  async pipe(name: string): Promise<Pick<Target, "program" | "load">> {
    const options = { ready: /ready/, nodeFlags: WITH_TYPESCRIPT };
    const program = await this.#programs.start(
      "the pipe",
      [script("pipe-load.ts"), ...commandOf(name)],
      options,
    );
    return { program, load: (load) => program.ask(load) };
  }

  /** Starts npm's supergateway by its command line, in front of one of `servers/` that speaks stdio: one a session. */
  async supergateway(name: string): Promise<Target> {
    const port = await freePort();
    const server = commandOf(name).map((part) => JSON.stringify(part));
    const http = ["--outputTransport", "streamableHttp", "--stateful", "--port", String(port)];
    const args = [supergateway(), "--stdio", server.join(" "), ...http, "--logLevel", "none"];
    // It is told to say nothing, and so has to be made to say that it starts.
    const nodeFlags = ["--import", "data:text/javascript,console.log('started')"];
    const program = await this.#programs.start("supergateway", args, { ready: /started/, nodeFlags });
    await listening(port);
    return this.#target(program, `http://127.0.0.1:${port}/mcp`);
  }

  /** Starts npm's mcp-proxy by its command line, in front of one of `servers/` that speaks stdio. */
  async mcpProxy(name: string): Promise<Target> {
    const port = await freePort();
    const args = [mcpProxy(), "--port", String(port), "--host", "127.0.0.1", "--", ...commandOf(name)];
    const program = await this.#programs.start("mcp-proxy", args, { ready: /starting server/ });
    // It says so a little before it listens.
    await listening(port);
    return this.#target(program, `http://127.0.0.1:${port}/mcp`);
  }

  /** Starts the gateway as it is built. It answers questions with its memory. */
  async gateway(settings: GatewaySettings): Promise<Target> {
    const { upstream, store, tasks = {}, callers = { identify: "anonymous" }, limits = NO_LIMITS } = settings;
    const { webhooks = {} } = settings;
    this.#configured += 1;
    const base = join(this.#folder, `gateway-${this.#configured}`);
    const config = {
      listen: { port: 0 },
      store: { url: storeUrl(store, base) },
      callers,
      limits: { drainTimeout: "0ms", ...limits },
      log: { level: "warn" },
      servers: { bench: { upstream: upstreamOf(upstream), tasks: { ...POLLED_FAST, ...tasks } } },
      webhooks,
    };
    await writeFile(`${base}.json`, JSON.stringify(config));
    const profile = this.#profileFolder;
    const profiling = profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
    const program = await this.#programs.start("gateway", [GATEWAY_COMMAND, "--config", `${base}.json`], {
      ready: /(http:\S+) →/,
      nodeFlags: [...PROBED, ...profiling],
    });
    return this.#target(program, program.ready[1] ?? "");
  }

  /** The same with a load client of its own, for targets that are loaded at the same time. */
  async withOwnClient(target: Target): Promise<Target> {
    const options = { ready: /ready/, nodeFlags: WITH_TYPESCRIPT };
    const client = await this.#programs.start("a load client", [script("load.ts")], options);
    const { port, pathname: path } = new URL(target.url);
    const stop = async (signal?: NodeJS.Signals) => {
      await target.program.stop(signal);
      await client.stop();
    };
    return {
      ...target,
      program: { ...target.program, stop },
      load: (load) => client.ask({ ...load, port: Number(port), path }),
    };
  }

  /** Starts a client that makes load of its own, one of the scripts here. */
  client(name: string): Promise<Program> {
    return this.#programs.start(`the ${name}`, [script(`${name}.ts`)], {
      ready: /ready/,
      nodeFlags: WITH_TYPESCRIPT,
    });
  }

  /** Starts processes that each have a store in the Redis at a URL, or only a client of it. */
  storeClients(kind: "store" | "raw", url: string, count: number): Promise<Program[]> {
    const options = { ready: /ready/, nodeFlags: WITH_TYPESCRIPT };
    const start = () =>
      this.#programs.start("a client of Redis", [script("store-load.ts"), kind, url], options);
    return Promise.all(Array.from({ length: count }, start));
  }

  async close(): Promise<void> {
    await this.#programs.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #target(program: Pick<Program, "ask" | "stop">, url: string): Target {
    const { port, pathname: path } = new URL(url);
    const at = { port: Number(port), path };
    return {
      program,
      url,
      probe: probeOf(program),
      load: (load) => this.#client.ask({ ...load, ...at }),
      hold: (request, streams) => this.#hold({ ...at, request, streams }),
    };
  }

  async #hold(held: Held): Promise<() => Promise<void>> {
    const options = { ready: /ready/, nodeFlags: WITH_TYPESCRIPT };
    const holder = await this.#programs.start("the holder", [script("holder.ts")], options);
    await holder.ask(held);
    return () => holder.stop();
  }
}

function storeUrl(store: GatewaySettings["store"], base: string): string {
  if (store === "memory") return "memory:";
  if (store === "level") return `level:${base}`;
  return "level" in store ? `level:${store.level}` : store.redis;
}

function upstreamOf(upstream: GatewaySettings["upstream"]): object {
  if (typeof upstream === "string") return { url: upstream };
  const [command, ...args] = commandOf(upstream.stdio);
  return { command, args };
}

function commandOf(name: string): [string, ...string[]] {
  return [process.execPath, ...WITH_TYPESCRIPT, script(`servers/${name}.ts`)];
}

function script(name: string): string {
  return join(import.meta.dirname, name);
}
