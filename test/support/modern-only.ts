/**
 * A server of 2026-07-28 and of no revision before, by its SDK, with everything that such a server can have: over HTTP here, and over
 * stdio in `stdio-servers/modern-only.ts`.
 */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { toNodeHandler } from "@modelcontextprotocol/node";
import {
  type CallToolResult,
  completable,
  createMcpHandler,
  type InputRequest,
  type InputRequiredResult,
  inputRequired,
  McpServer,
  ResourceTemplate,
  type ServerContext,
} from "@modelcontextprotocol/server";
import * as z from "zod";

/** What its tools have to tell its tests. */
export interface Journal {
  /** The tools that were called, in order, with every round of a call. */
  readonly calls: string[];
  /** How many calls were given up by whoever made them. */
  cancelled: number;
  /** What the last caller declared of itself. */
  envelope: unknown;
}

export interface ModernOnly extends Journal {
  readonly url: URL;
  readonly notify: ReturnType<typeof createMcpHandler>["notify"];
  close(): Promise<void>;
}

type Answered = CallToolResult | InputRequiredResult;

/** By name, what a tool asks its client for in its first round. */
const QUESTIONS: Readonly<Record<string, () => InputRequest>> = {
  form: () => inputRequired.elicit({ message: "Who?", requestedSchema: z.object({ name: z.string() }) }),
  visit: () => inputRequired.elicitUrl({ message: "Log in", url: "https://example.com/login" }),
  sample: () =>
    inputRequired.createMessage({
      maxTokens: 10,
      messages: [{ role: "user", content: { type: "text", text: "Capital of France?" } }],
    }),
  roots: () => inputRequired.listRoots(),
};

/** A new server for each request, or for the one client over stdio. */
export function modernOnlyServer(journal: Journal): McpServer {
  const server = new McpServer(
    { name: "modern-only", version: "2.4.0" },
    {
      instructions: "Be brief.",
      capabilities: {
        logging: {},
        completions: {},
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
      },
    },
  );
  const tool = (
    name: string,
    run: (context: ServerContext) => Answered | Promise<Answered>,
    outputSchema?: z.ZodType,
  ) =>
    server.registerTool(name, { ...(outputSchema === undefined ? {} : { outputSchema }) }, (context) => {
      journal.calls.push(name);
      journal.envelope = context.mcpReq.envelope;
      return run(context);
    });

  server.registerTool("echo", { inputSchema: z.object({ message: z.string() }) }, ({ message }) =>
    text(message),
  );
  for (const [name, question] of Object.entries(QUESTIONS)) {
    tool(name, ({ mcpReq: { inputResponses } }) =>
      inputResponses === undefined
        ? inputRequired({ inputRequests: { it: question() }, requestState: "asked" })
        : text(JSON.stringify(inputResponses.it)),
    );
  }
  tool("count", () => ({ content: [], structuredContent: 3 }) as unknown as CallToolResult, z.number());
  tool(
    "measure",
    () => ({ ...text("3 m"), structuredContent: { metres: 3 } }),
    z.object({ metres: z.number() }),
  );
  tool("slow", async ({ mcpReq: { signal } }) => {
    await sleep(1_500, undefined, { signal });
    return text("slow, and done");
  });
  tool("wait", async ({ mcpReq: { signal } }) => {
    await once(signal, "abort");
    journal.cancelled += 1;
    return text("nobody hears this");
  });
  tool("report", async ({ mcpReq }) => {
    await mcpReq.log("debug", "too little to say");
    await mcpReq.log("warning", "half way");
    const progressToken = mcpReq._meta?.progressToken;
    if (progressToken !== undefined)
      await mcpReq.notify({
        method: "notifications/progress",
        params: { progressToken, progress: 1, total: 2, message: "half" },
      });
    return text("reported");
  });

  server.registerPrompt(
    "greet",
    {
      argsSchema: z.object({
        name: completable(z.string(), (start) => ["Ada", "Alan"].filter((n) => n.startsWith(start))),
      }),
    },
    ({ name }) => ({ messages: [{ role: "user", content: { type: "text", text: `Greet ${name}` } }] }),
  );
  server.registerResource("note", "note://1", { mimeType: "text/plain" }, (uri) => ({
    contents: [{ uri: uri.href, text: "a note" }],
  }));
  server.registerResource("any", new ResourceTemplate("any://{what}", { list: undefined }), {}, (uri) => ({
    contents: [{ uri: uri.href, text: "anything" }],
  }));
  return server;
}

export function newJournal(): Journal {
  return { calls: [], cancelled: 0, envelope: undefined };
}

export async function startModernOnly(port = 0): Promise<ModernOnly> {
  const journal = newJournal();
  const handler = createMcpHandler(() => modernOnlyServer(journal), { legacy: "reject" });
  const serve = toNodeHandler(handler);
  const http = createServer(
    (request, response) => void serve(request as Parameters<typeof serve>[0], response),
  );
  http.listen(port, "127.0.0.1");
  await new Promise<void>((resolve) => http.once("listening", () => resolve()));
  return Object.assign(journal, {
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`),
    notify: handler.notify,
    close: async () => {
      await handler.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  });
}

function text(what: string): CallToolResult {
  return { content: [{ type: "text", text: what }] };
}
