import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { listening } from "../bench/connection.ts";
import { freePort } from "../demo/programs.ts";

export interface Haproxy {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** Where Debian's package puts it is on the PATH of few. */
const FOLDERS = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];

/** Starts HAProxy before the gateways at these ports, in turn and without affinity. @param folder for its configuration */
export async function startHaproxy(ports: readonly number[], folder: string): Promise<Haproxy> {
  const executable = FOLDERS.map((place) => join(place, "haproxy")).find((path) => existsSync(path));
  if (executable === undefined)
    throw new Error("haproxy is not installed; Debian has a package of that name");
  const port = await freePort();
  const file = join(folder, "haproxy.cfg");
  await writeFile(file, configuration(port, ports));
  const child = spawn(executable, ["-db", "-f", file], { stdio: ["ignore", "ignore", "pipe"] });
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  const said = gathered(child);
  await Promise.race([
    listening(port),
    once(child, "exit").then(() => {
      throw new Error(`HAProxy ended before it listened:\n${said()}`);
    }),
  ]);
  return {
    pid: child.pid ?? 0,
    port,
    stop: async () => {
      process.removeListener("exit", kill);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      kill();
      await ended;
    },
  };
}

/** The backend of docs/operations.md, with health checks that have time: on a machine that is busy nobody is to be taken for dead. */
function configuration(port: number, ports: readonly number[]): string {
  return `
global
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 10m
  timeout server 10m
  timeout http-request 30s
  timeout check 1m
frontend clients
  bind 127.0.0.1:${port}
  default_backend gateways
backend gateways
  balance roundrobin
  option redispatch 1
  option http-buffer-request
  http-request set-var(txn.method) req.body,json_query('$.method')
  http-request disable-l7-retry unless { var(txn.method) -m str tasks/get tasks/result }
  retry-on conn-failure empty-response
  option httpchk GET /-/health
${ports.map((each, n) => `  server gateway${n} 127.0.0.1:${each} check inter 10s`).join("\n")}
`;
}

/** What it writes to stderr, as far as it is worth showing. */
function gathered(child: ChildProcess): () => string {
  let text = "";
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    text = (text + chunk).slice(-4_000);
  });
  return () => text.trim();
}
