import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, GATEWAY_COMMAND, type Program, Programs } from "../demo/programs.ts";
import { mcpProxy } from "../peers/peers.ts";
import { Connection } from "./connection.ts";
import type { Job, Measured } from "./load.ts";

export interface Target {
  readonly program: Program;
  readonly url: string;
  /** Makes load on it, one job at a time over all targets. */
  load(job: Omit<Job, "port" | "path">): Promise<Measured>;
}

export interface GatewaySettings {
  readonly upstream: string;
  readonly store: "memory" | "level";
  /** As in the configuration file. */
  readonly tasks?: Readonly<Record<string, unknown>>;
}

const ANY_URL = /(http:\/\/127\.0\.0\.1:\d+\/\S*)/;
const WITH_TYPESCRIPT = ["--import", "tsx"];
/** Answers every message with the memory that is in use, after a collection. Does not keep the process alive. */
const MEMORY_PROBE = `data:text/javascript,process.on("message",()=>{gc();gc();process.send({answer:process.memoryUsage()})});process.channel.unref()`;

/** The programs that take part, each a process of its own, and the client that makes the load. */
export class Lab {
  readonly #programs: Programs;
  readonly #folder: string;
  readonly #client: Program;
  readonly #profileFolder: string | undefined;
  #gateways = 0;

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
  async server(name: string, args: readonly string[] = []): Promise<Target> {
    const options = { ready: ANY_URL, nodeFlags: WITH_TYPESCRIPT };
    const program = await this.#programs.start(name, [script(`servers/${name}.ts`), ...args], options);
    return this.#target(program);
  }

  /** Starts npm's mcp-proxy by its command line, in front of one of `servers/` that speaks stdio. */
  async mcpProxy(name: string): Promise<Target> {
    const port = await freePort();
    const server = [process.execPath, ...WITH_TYPESCRIPT, script(`servers/${name}.ts`)];
    const args = [mcpProxy(), "--port", String(port), "--host", "127.0.0.1", "--", ...server];
    const program = await this.#programs.start("mcp-proxy", args, { ready: /starting server/ });
    // It says so a little before it listens.
    for (let attempt = 0; !(await isListening(port)) && attempt < 100; attempt += 1) await sleep(20);
    return this.#target(program, `http://127.0.0.1:${port}/mcp`);
  }

  /** Starts the gateway as it is built. It answers questions with its memory. */
  async gateway({ upstream, store, tasks = {} }: GatewaySettings): Promise<Target> {
    this.#gateways += 1;
    const base = join(this.#folder, `gateway-${this.#gateways}`);
    const config = {
      listen: { port: 0 },
      store: { url: store === "memory" ? "memory:" : `level:${base}` },
      limits: { drainTimeout: "0ms" },
      log: { level: "warn" },
      servers: { bench: { upstream: { url: upstream }, tasks } },
    };
    await writeFile(`${base}.json`, JSON.stringify(config));
    const profile = this.#profileFolder;
    const profiling = profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
    const program = await this.#programs.start("gateway", [GATEWAY_COMMAND, "--config", `${base}.json`], {
      ready: /(http:\S+) →/,
      nodeFlags: ["--expose-gc", "--import", MEMORY_PROBE, ...profiling],
    });
    return this.#target(program);
  }

  async close(): Promise<void> {
    await this.#programs.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #target(program: Program, url = program.ready[1] ?? ""): Target {
    const { port, pathname: path } = new URL(url);
    return { program, url, load: (job) => this.#client.ask({ ...job, port: Number(port), path }) };
  }
}

async function isListening(port: number): Promise<boolean> {
  return Connection.open(port).then(
    (connection) => {
      connection.close();
      return true;
    },
    () => false,
  );
}

function script(name: string): string {
  return join(import.meta.dirname, name);
}
