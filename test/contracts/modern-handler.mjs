// Serves the tools of the contract's server to clients of 2026-07-28: a request is a POST, and a tool that has to ask ends the
// round, to be begun again when there is an answer.

import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, inputRequired, Server } from "@modelcontextprotocol/server";

/** What a tool throws that cannot go on without an answer. */
class Asked extends Error {
  constructor(request) {
    super("an answer is missing");
    this.request = request;
  }
}

/**
 * @param tools the tools by name
 * @param listed gives the tools as they are listed
 * @param info what the server says of itself
 * @returns the handler for `node:http`, and how to tell everybody that the tools have changed
 */
export function modernHandler({ tools, listed, info }) {
  const handler = createMcpHandler(
    () => {
      const server = new Server(info, { capabilities: { tools: { listChanged: true }, logging: {} } });
      server.setRequestHandler("tools/list", () => ({ tools: listed(), ttlMs: 0, cacheScope: "private" }));
      server.setRequestHandler("tools/call", ({ params }, { mcpReq }) => run(tools, params, mcpReq));
      server.fallbackRequestHandler = ({ method, params }) => ({ echoed: method, number: params?.number });
      return server;
    },
    { legacy: "reject" },
  );
  return { handle: toNodeHandler(handler), toolsChanged: () => handler.notify.toolsChanged() };
}

async function run(tools, { name, arguments: given = {} }, { signal, inputResponses, notify, _meta }) {
  const tell = (progress) =>
    notify({
      method: "notifications/progress",
      params: { progressToken: _meta?.progressToken, ...progress },
    });
  const log = (params) => notify({ method: "notifications/message", params });
  const request = (method, params) => {
    const answer = inputResponses?.it;
    if (answer === undefined) throw new Asked({ method, params });
    return answer;
  };
  try {
    return await tools[name](given, { signal, tell, log, request });
  } catch (error) {
    if (!(error instanceof Asked)) throw error;
    return inputRequired({ inputRequests: { it: error.request } });
  }
}
