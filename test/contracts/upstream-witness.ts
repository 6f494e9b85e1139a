/** What the servers of the contract say of themselves, whichever transport they are served over. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { Conditions } from "../support/conditions.ts";
import type { GatewaySettings } from "../support/gateway.ts";

export type TransportUnderTest = "streamable-http" | "json-only" | "stateless" | "sse" | "stdio" | "modern";

export interface UpstreamUnderTest {
  /** What a gateway in front of it is set to. */
  readonly settings: Pick<GatewaySettings, "upstream" | "transport">;
  /** The processes that serve: how many have been started, how many run, and the most that have run at one time. */
  readonly processes: { readonly started: number; readonly running: number; readonly peak: number };
  /** Waits until so many processes run. */
  untilRunning(count: number): Promise<void>;
  /** The calls that have been held so far, in order. */
  readonly held: readonly string[];
  /** Waits until a call with this label is held, or was cancelled. */
  until(what: "held" | "cancelled", label: string): Promise<void>;
  /** Lets a held call go on. */
  release(label: string): void;
  /** Has the tools change, while nobody calls. */
  changeTools(): void;
  /** Has the process that serves exit; settles when it is ready again, or will be started by whoever needs it. */
  crash(): Promise<void>;
}

interface Event {
  readonly what: "started" | "held" | "cancelled";
  readonly label?: string;
  readonly port?: number;
}

/** A process that is started may have to wait for its turn on a busy machine. */
const PATIENCE_MS = 120_000;
const PROGRAM = fileURLToPath(new URL("upstream-server.mjs", import.meta.url));

/** Starts the server of the contract, or says how it is started. It is gone when the test ends. */
export async function startUpstream(transport: TransportUnderTest): Promise<UpstreamUnderTest> {
  const witness = await startWitness();
  const environment = { TRANSPORT: transport, WITNESS: String(witness.port) };
  if (transport === "stdio") {
    const upstream = { command: process.execPath, args: [PROGRAM], env: environment };
    return { ...witness, settings: { upstream }, crash: async () => witness.exit(3) };
  }
  const start = async (port: number): Promise<number> => {
    witness.expectStart();
    run({ ...environment, PORT: String(port) });
    return witness.started();
  };
  const port = await start(0);
  return {
    ...witness,
    settings: {
      upstream: new URL(`http://127.0.0.1:${port}/mcp`),
      transport: transport === "sse" ? "sse" : "streamable-http",
    },
    crash: async () => {
      await witness.exit(3);
      await start(port);
    },
  };
}

function run(env: Readonly<Record<string, string>>): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM], { env: { ...process.env, ...env }, stdio: "ignore" });
  const ended = once(child, "close");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return child;
}

async function startWitness() {
  const events: Event[] = [];
  /** What every process has to know that is started later. */
  const released: object[] = [];
  const held: string[] = [];
  const processes = {
    started: 0,
    peak: 0,
    get running() {
      return sockets.size;
    },
  };
  const sockets = new Set<Socket>();
  const conditions = new Conditions(() => `the server has said: ${JSON.stringify(events)}`, PATIENCE_MS);
  const server = createServer((socket) => {
    sockets.add(socket);
    processes.started += 1;
    processes.peak = Math.max(processes.peak, sockets.size);
    conditions.check();
    for (const order of released) socket.write(`${JSON.stringify(order)}\n`);
    socket.on("error", () => undefined);
    socket.once("close", () => {
      sockets.delete(socket);
      conditions.check();
    });
    const lines = createInterface({ input: socket });
    // It passes on the socket's errors: a program that is killed resets its connection.
    lines.on("error", () => undefined);
    lines.on("line", (line) => {
      const event: Event = JSON.parse(line);
      events.push(event);
      if (event.what === "held") held.push(event.label ?? "");
      conditions.check();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const tell = (order: object): void => {
    for (const socket of sockets) socket.write(`${JSON.stringify(order)}\n`);
  };
  let starts = 0;
  return {
    port: (server.address() as AddressInfo).port,
    expectStart: () => {
      starts = events.filter(({ what }) => what === "started").length;
    },
    started: async () => {
      const found = () => events.filter(({ what }) => what === "started")[starts]?.port;
      return conditions.found(found, "the server to listen");
    },
    processes,
    untilRunning: async (count: number) => {
      await conditions.found(() => sockets.size === count || undefined, `${count} processes to run`);
    },
    held,
    until: async (what: Event["what"], label: string) => {
      const isSo = (event: Event) => event.what === what && event.label === label;
      await conditions.found(() => events.some(isSo) || undefined, `${label} to be ${what}`);
    },
    release: (label: string) => {
      released.push({ release: label });
      tell({ release: label });
    },
    changeTools: () => tell({ change: true }),
    exit: async (code: number) => {
      tell({ exit: code });
      await conditions.found(() => sockets.size === 0 || undefined, "the server to exit");
    },
  };
}
