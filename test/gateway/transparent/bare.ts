/** http-proxy as its manual shows it. Run as a program (`tsx bare.ts TARGET`) it prints its URL; some tests end it. */

import { createServer, type Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import httpProxy from "http-proxy";

export function createBareProxy(target: URL, options: httpProxy.ServerOptions = {}): Server {
  const proxy = httpProxy.createProxyServer({ target: target.href, ...options });
  proxy.on("error", (_error, _request, response) => {
    if (!(response instanceof ServerResponse)) return;
    response.writeHead(500, { "Content-Type": "text/plain" });
    response.end("Something went wrong.");
  });
  return createServer((request, response) => proxy.web(request, response));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = createBareProxy(new URL(process.argv[2] ?? ""));
  server.listen(0, "127.0.0.1", () => {
    console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  });
}
