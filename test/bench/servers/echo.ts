/** An ordinary legacy server: the v1 SDK, sessions, answers on event streams. */

import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { runAsProgram, serveLegacy } from "../../support/legacy-http.ts";

const ECHO = {
  name: "echo",
  inputSchema: { type: "object" as const, properties: { text: { type: "string" } } },
};

await runAsProgram(import.meta.url, ({ port }) => serveLegacy(echoServer, { port }));

export function echoServer(): Server {
  const server = new Server({ name: "echo", version: "1.0.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [ECHO] }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }) => ({
    content: [{ type: "text", text: String(params.arguments?.text) }],
  }));
  return server;
}
