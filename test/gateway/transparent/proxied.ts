/** A server with nothing but the proxy in it. Run as a program (`tsx proxied.ts TARGET`) it prints its URL. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { type Forwarding, ReverseProxy } from "../../../src/proxy/reverse-proxy.ts";

export interface ProxiedOptions {
  /** What differs from a request that may be repeated and has a body where one came. */
  readonly forwarding?: Partial<Forwarding>;
  /** What happens between the reading of the request and its forwarding. */
  readonly before?: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
  readonly onOver?: () => void;
  readonly onRejected?: (error: unknown, response: ServerResponse) => void;
}

/** Forwards every request with the path it came with; without a path that begins with a slash, to the root. */
export function createProxied(proxy: ReverseProxy, target: URL, options: ProxiedOptions = {}): Server {
  const { forwarding, before, onOver, onRejected } = options;
  return createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("error", () => undefined);
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.once("end", async () => {
      const path = request.url?.startsWith("/") ? request.url : "/";
      await before?.(request, response);
      proxy
        .forward(request, response, {
          target: new URL(target.origin + path),
          mayRepeat: true,
          body: chunks.length > 0 ? Buffer.concat(chunks) : undefined,
          ...forwarding,
        })
        .then(onOver, (error: unknown) => {
          onRejected?.(error, response);
          if (response.headersSent) response.end();
          else response.writeHead(502).end("no answer");
        });
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = createProxied(new ReverseProxy(), new URL(process.argv[2] ?? ""));
  server.listen(0, "127.0.0.1", () => {
    console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  });
}
