/** Debian's nginx before gateways, told to send a request to the next one when the one that had it breaks the connection. */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request } from "undici";
import { lastingPort } from "./ports.ts";

export interface Nginx {
  readonly url: URL;
  stop(): Promise<void>;
}

/** Why there is no nginx to test with; `undefined`: there is one. */
export function nginxMissing(): string | undefined {
  return spawnSync("nginx", ["-v"]).status === 0 ? undefined : "there is no nginx";
}

/** Starts it before gateways at these ports, the first in use and the others to fall back on. Whoever starts it stops it. */
export async function startNginx([first, ...others]: readonly number[]): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-nginx-"));
  const port = await lastingPort();
  const config = join(folder, "nginx.conf");
  await writeFile(
    config,
    `daemon off;
master_process off;
pid ${folder}/pid;
error_log ${folder}/error.log;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  upstream gateways {
    server 127.0.0.1:${first};
    ${others.map((other) => `server 127.0.0.1:${other} backup;`).join(" ")}
  }
  server {
    listen 127.0.0.1:${port};
    location = /ready { return 204; }
    location / {
      proxy_pass http://gateways;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_next_upstream error timeout non_idempotent;
    }
  }
}
`,
  );
  const child = spawn("nginx", ["-p", folder, "-c", config], { stdio: "ignore" });
  const url = new URL(`http://127.0.0.1:${port}`);
  const stop = async () => {
    if (child.exitCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await rm(folder, { recursive: true });
  };
  while (child.exitCode === null) {
    const isReady = await request(new URL("/ready", url)).then(
      ({ statusCode }) => statusCode === 204,
      () => false,
    );
    if (isReady) return { url, stop };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop();
  throw new Error("nginx has ended before it was ready");
}
