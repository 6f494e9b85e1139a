/**
 * npm's mcp-proxy in front of a legacy server that speaks HTTP. Its command line starts stdio servers only, so this does
 * with its library what its command line does, with a client that is connected over HTTP. Argument: the URL of the server.
 */

import { resolve } from "node:path";
import { freePort } from "../../demo/programs.ts";
import { mcpProxy } from "../../peers/peers.ts";

const upstream = process.argv[2] ?? "";
const port = await freePort();
// By path, and the very modules that mcp-proxy itself imports: it has its own version of the SDK.
const peers = resolve(mcpProxy(), "../../../..");
const { proxyServer, startHTTPServer } = await import(`${peers}/mcp-proxy/dist/index.mjs`);
const { Client, StreamableHTTPClientTransport } = await import(
  `${peers}/@modelcontextprotocol/client/dist/index.mjs`
);
const { Server } = await import(`${peers}/@modelcontextprotocol/server/dist/index.mjs`);

const client = new Client({ name: "mcp-proxy", version: "1.0.0" }, { capabilities: {} });
await client.connect(new StreamableHTTPClientTransport(new URL(upstream)));
await startHTTPServer({
  createServer: async () => {
    const capabilities = client.getServerCapabilities();
    const server = new Server(client.getServerVersion(), { capabilities });
    await proxyServer({ client, server, serverCapabilities: capabilities });
    return server;
  },
  host: "127.0.0.1",
  port,
});
console.log(`http://127.0.0.1:${port}/mcp`);
