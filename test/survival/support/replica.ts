import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Exit, type GatewayProcess, startGatewayProcess } from "../../support/gateway-process.ts";
import { lastingPort } from "./ports.ts";
import { StdioClient } from "./stdio-client.ts";
import { KINDS, type Kind, type Witness } from "./witness.ts";

export interface ReplicaSettings {
  readonly upstreams: Witness["urls"];
  /** As in the configuration file; `level:` is put into a folder of the replica's own. */
  readonly store: Readonly<Record<string, string>> | "level:";
  readonly encryptionKeys?: readonly string[];
  /** The one server of a gateway on standard input and output; absent: all of them, over HTTP. */
  readonly front?: Kind;
  readonly tasks?: Readonly<Record<string, unknown>>;
  readonly limits?: Readonly<Record<string, unknown>>;
  /** For node itself, before the script. */
  readonly nodeFlags?: readonly string[];
}

const STARTS = 5;

/**
 * One place of a gateway: a port and a configuration file, and the process that is there at the moment. It can be killed, and
 * started again, as often as one likes.
 */
export class Replica {
  readonly port: number;
  readonly #folder: string;
  readonly #config: string;
  readonly #nodeFlags: readonly string[];
  /** Who starts the gateway, and speaks with it, where it has no port. */
  readonly stdio: StdioClient | undefined;
  #process: GatewayProcess | undefined;
  /** Ends the last process that was begun, also one that is not ready yet. */
  #end = async () => {};
  /** What the processes before had to say. */
  #saidBefore = "";

  /** Starts the first process. Whoever opens a replica closes it. */
  static async open(settings: ReplicaSettings): Promise<Replica> {
    const folder = await mkdtemp(join(tmpdir(), "taskgate-replica-"));
    const port = await lastingPort();
    const { upstreams, store, encryptionKeys, front, tasks, limits, nodeFlags = [] } = settings;
    const server = (kind: Kind) => ({
      upstream: { url: upstreams[kind].href, transport: "streamable-http" },
      tasks: { mode: "always", pollInterval: "100ms", maxPollInterval: "100ms", ...tasks },
      // This one asks before there is a task.
      tools: [{ match: "meet", mode: "auto", waitFor: "10s" }],
    });
    const config = {
      listen: { port },
      store: {
        ...(store === "level:" ? { url: `level:${join(folder, "data")}` } : store),
        ...(encryptionKeys === undefined ? {} : { encryptionKeys }),
      },
      limits: { drainTimeout: "3s", ...limits },
      log: { level: "warn" },
      servers: Object.fromEntries(KINDS.map((kind) => [kind, server(kind)])),
    };
    await writeFile(join(folder, "taskgate.json"), JSON.stringify(config));
    const replica = new Replica(folder, port, nodeFlags, front);
    try {
      await replica.start();
      return replica;
    } catch (error) {
      await replica.close();
      throw error;
    }
  }

  private constructor(folder: string, port: number, nodeFlags: readonly string[], front: Kind | undefined) {
    this.#folder = folder;
    this.#config = join(folder, "taskgate.json");
    this.#nodeFlags = nodeFlags;
    this.port = port;
    this.stdio = front && new StdioClient(["--config", this.#config, "--server", front]);
  }

  /** Where it has one of the servers. */
  url(kind: Kind): URL {
    return new URL(`http://127.0.0.1:${this.port}/${kind}/mcp`);
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  get pid(): number {
    return this.#running().pid;
  }

  /** What all its processes have written to stderr. */
  get stderr(): string {
    return this.stdio?.stderr ?? this.#saidBefore + (this.#process?.stderr ?? "");
  }

  /**
   * Starts a process where there is none, and waits until it listens. One that gives up because the store takes too long to answer, on a
   * machine that is busy, is started again, as a supervisor would do.
   */
  async start(): Promise<void> {
    for (let left = STARTS; ; left -= 1) {
      try {
        return await this.#start();
      } catch (error) {
        if (left <= 1 || !/could not be opened \(no answer/.test(String(error))) throw error;
      }
    }
  }

  /** Sends a signal and waits for the end. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<Exit> {
    if (this.stdio !== undefined) return this.stdio.kill(signal);
    const running = this.#running();
    const exit = await running.kill(signal);
    this.#saidBefore += running.stderr;
    this.#process = undefined;
    return exit;
  }

  /** Has it stand still: its connections stay open, and nothing happens on them. Settles when it does. */
  async pause(): Promise<void> {
    const { pid } = this.#running();
    process.kill(pid, "SIGSTOP");
    // A signal is on its way for a moment.
    while (!/^\d+ \(.*\) T /.test(await readFile(`/proc/${pid}/stat`, "utf8")));
  }

  resume(): void {
    process.kill(this.#running().pid, "SIGCONT");
  }

  /** Asks what `nodeFlags` made it answer, one question at a time. Rejects when it ends before it has answered. */
  async ask<A>(question: string): Promise<A> {
    const { child, exited } = this.#running();
    const asked = new AbortController();
    const answered = once(child, "message", { signal: asked.signal });
    // Whoever gives up is told so by the other.
    answered.catch(() => {});
    child.send(question, () => {});
    const ended = exited.then(() => {
      throw new Error(`the gateway on port ${this.port} ended before it answered`);
    });
    try {
      const [{ answer }] = await Promise.race([answered, ended]);
      return answer;
    } finally {
      asked.abort();
      ended.catch(() => {});
    }
  }

  async close(): Promise<void> {
    await this.stdio?.kill("SIGKILL");
    await this.#end();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    if (this.stdio !== undefined) return this.stdio.start();
    this.#process = await startGatewayProcess(["--config", this.#config], {
      atEnd: (end) => {
        this.#end = end;
      },
      nodeFlags: this.#nodeFlags,
      routes: KINDS.length,
    });
  }

  #running(): GatewayProcess {
    if (this.#process === undefined) throw new Error(`no gateway runs on port ${this.port}`);
    return this.#process;
  }
}
