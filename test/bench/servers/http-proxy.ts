/** The yardstick: http-proxy and nothing else, with connections that are kept, as one runs it. Argument: the URL of the server. */

import { Agent, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import httpProxy from "http-proxy";

const target = new URL(process.argv[2] ?? "").origin;
const proxy = httpProxy.createProxyServer({ target, agent: new Agent({ keepAlive: true }) });
// Clients of a bench vanish; without a listener that would be the end of the process.
proxy.on("error", () => undefined);

const http = createServer((request, response) => proxy.web(request, response));
http.listen(0, "127.0.0.1", 16_384, () => {
  console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`);
});
