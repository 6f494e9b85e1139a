// A legacy server on its standard streams, as small as can be: what it does with a call is a matter of its tools.

import { createInterface } from "node:readline";

const PROTOCOL_VERSION = "2025-06-18";

/**
 * Answers `initialize`, `ping` and `tools/list`, and calls `tools[name](args, call)` for a call. What a tool returns is the text of the
 * result; one that returns nothing does not answer.
 */
export function serve(tools) {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const { id, method, params } = JSON.parse(line);
    const answer = (result) => print({ jsonrpc: "2.0", id, result });
    if (method === "initialize") {
      const serverInfo = { name: "stdio-server", version: "1" };
      answer({ protocolVersion: PROTOCOL_VERSION, capabilities: { tools: {} }, serverInfo });
    } else if (method === "ping") {
      answer({});
    } else if (method === "tools/list") {
      answer({ tools: Object.keys(tools).map((name) => ({ name, inputSchema: { type: "object" } })) });
    } else if (method === "tools/call") {
      const text = await tools[params.name](params.arguments ?? {}, { id });
      if (text !== undefined) answer({ content: [{ type: "text", text }] });
    }
  });
}

export function print(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
