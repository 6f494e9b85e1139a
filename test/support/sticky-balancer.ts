/** A balancer that keeps a session at one of several nodes by a cookie, as AWS, Azure and nginx do, and another one for every comer. */

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import httpProxy from "http-proxy";
import { onTestFinished } from "vitest";

export interface Forwarded {
  readonly method: string;
  readonly node: number;
  /** The value of the cookie that it came with. */
  readonly cookie: string | undefined;
  /** That of the session that it belongs to. */
  readonly session: string | undefined;
}

const AFFINITY = /(?:^|; )AFFINITY=((\d+)\.\d+)/;

export async function stickyBalancer(nodes: readonly URL[]) {
  const forwarded: Forwarded[] = [];
  const proxy = httpProxy.createProxyServer();
  proxy.on("error", (_error, _request, response) => void response.destroy());
  let comers = 0;
  const server = createServer((request, response) => {
    const [, cookie, given] = AFFINITY.exec(request.headers.cookie ?? "") ?? [];
    const node = given === undefined ? comers % nodes.length : Number(given);
    if (given === undefined) {
      response.setHeader("Set-Cookie", `AFFINITY=${node}.${comers}; Path=/; HttpOnly`);
      comers += 1;
    }
    forwarded.push({ method: request.method ?? "", node, cookie, session: sessionOf(request) });
    proxy.web(request, response, { target: nodes[node]?.origin });
  });
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: new URL(`http://127.0.0.1:${port}${nodes[0]?.pathname}`), forwarded };
}

function sessionOf({ headers }: IncomingMessage): string | undefined {
  const id = headers["mcp-session-id"];
  return typeof id === "string" ? id : undefined;
}
