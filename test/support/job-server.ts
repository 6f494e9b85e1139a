/** A v1 server with one tool, `job`, which does what a test says; it keeps its events, and a record of what it was told. */

import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { onTestFinished } from "vitest";
import { Conditions } from "./conditions.ts";
import { Asks, type Extra } from "./everything-asks.ts";
import { serveEverything } from "./everything-http.ts";

export interface Job {
  readonly asks: Asks;
  /** How far it is. */
  progress(progress: number): Promise<void>;
  /** Waits until the test lets it go on. */
  readonly released: Promise<void>;
}

export interface JobServerOptions {
  readonly asksOn?: "call" | "session";
  readonly isResumable?: boolean;
}

export async function startJobServer(
  run: (job: Job) => Promise<string>,
  { asksOn = "call", isResumable = true }: JobServerOptions = {},
) {
  const told = { runs: 0, done: 0, cancelled: 0, answers: 0 };
  const conditions = new Conditions(() => `the server has seen: ${JSON.stringify(told)}`);
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const newServer = () => {
    const server = new Server({ name: "job", version: "1.0.0" }, { capabilities: { tools: {} } });
    server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [] }));
    server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
      told.runs += 1;
      extra.signal.addEventListener("abort", () => {
        told.cancelled += 1;
        conditions.check();
      });
      const text = await run({
        asks: new Asks(server, extra, asksOn),
        progress: (progress) => tellProgress(extra, params._meta?.progressToken, progress),
        released,
      });
      told.done += 1;
      conditions.check();
      return { content: [{ type: "text", text }] };
    });
    return server;
  };
  const http = await serveEverything(newServer, { isResumable });
  onTestFinished(http.close);
  return {
    url: http.url,
    get sessions() {
      return http.sessions;
    },
    told,
    release: () => release(),
    until: async (condition: () => boolean, what: string) => {
      await conditions.found(() => condition() || undefined, what);
    },
  };
}

function tellProgress(
  extra: Extra,
  progressToken: string | number | undefined,
  progress: number,
): Promise<void> {
  if (progressToken === undefined) throw new Error("nobody asked for progress");
  return extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress } });
}
