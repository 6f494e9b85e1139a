import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { freePort } from "../demo/programs.ts";
import { listening } from "./connection.ts";
import type { Probe } from "./probe.ts";

export interface Nginx {
  readonly url: string;
  readonly probe: Probe;
  stop(): Promise<void>;
}

/** Where Debian's package `nginx-light` puts it is on the PATH of few. */
const FOLDERS = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
/** What /proc counts time in (USER_HZ), everywhere that nginx is measured. */
const MS_PER_TICK = 10;

/**
 * Starts nginx as a reverse proxy before the server at `upstream`. `undefined` where it is not installed, or its memory and
 * time could not be read.
 * @param folder for its configuration and what it writes; made, and not removed
 */
export async function startNginx(upstream: URL, folder: string): Promise<Nginx | undefined> {
  const executable = FOLDERS.map((place) => join(place, "nginx")).find((path) => existsSync(path));
  if (executable === undefined || process.platform !== "linux") return undefined;
  const port = await freePort();
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "nginx.conf"), configuration(upstream.host, port));
  const args = ["-p", folder, "-c", "nginx.conf", "-e", "stderr"];
  const child = spawn(executable, args, { stdio: ["ignore", "ignore", "pipe"] });
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  await ready(child, port);
  return {
    url: `http://127.0.0.1:${port}${upstream.pathname}`,
    probe: probeOf(child.pid ?? 0),
    stop: async () => {
      const ended = once(child, "exit");
      kill();
      await ended;
      process.removeListener("exit", kill);
    },
  };
}

/** One process and no other, so that it cannot outlive the bench, and all of its memory is found in one place. */
function configuration(server: string, port: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
daemon off;
master_process off;
worker_rlimit_nofile 16384;
pid nginx.pid;
error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${name};`).join("\n  ")}
  keepalive_requests 1000000;
  upstream server { server ${server}; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port} backlog=16384;
    location / {
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`;
}

async function ready(child: ChildProcess, port: number): Promise<void> {
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-4_000);
  });
  const ended = once(child, "exit").then(() => {
    throw new Error(`nginx ended before it was ready:\n${said}`);
  });
  await Promise.race([listening(port), ended]);
  ended.catch(() => undefined);
}

function probeOf(pid: number): Probe {
  const read = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8");
  return {
    cpuMs: async () => {
      const stat = await read("stat");
      // Behind the name, which may contain anything, comes field 3; the two times are fields 14 and 15.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
    },
    memory: async () => ({ resident: Number(/^VmRSS:\s+(\d+) kB/m.exec(await read("status"))?.[1]) * 1_024 }),
  };
}
