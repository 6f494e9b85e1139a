/** A gateway process over a file that a test changes, and what there is to ask it. */

import { writeFile } from "node:fs/promises";
import { request } from "undici";
import { onTestFinished } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { fileWith, launch } from "../cli/process.ts";
import { type Json, ModernClient } from "../support/modern-client.ts";
import {
  type Script,
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
} from "../support/scripted-server.ts";
import { EVERYTHING, gate, textResult } from "../support/story.ts";

export interface Settings {
  readonly servers: Readonly<Record<string, JsonObject>>;
  readonly [section: string]: unknown;
}

const PATIENCE_MS = 60_000;

/** The text of a file with these settings; what is left out suits tests. */
export function fileText(settings: Settings): string {
  return JSON.stringify({
    listen: { port: 0 },
    admin: { port: 0 },
    store: { url: "memory:" },
    reload: "watch",
    ...settings,
  });
}

/** Starts a gateway over a file, the test's own unless another is named. */
export async function reloading(settings: Settings, { file: given }: { readonly file?: string } = {}) {
  const file = given ?? (await fileWith("taskgate.yaml", fileText(settings)));
  const gateway = launch(["--config", file], { PATH: process.env.PATH ?? "" });
  const base = await gateway.printed(/(http:\/\/127\.0\.0\.1:\d+)\S* →/);
  const admin = await gateway.printed(/^admin {2}(.*)$/m);
  await gateway.printed(/(ready: )/);
  const ask = async (path: string, options: Parameters<typeof request>[1] = {}) => {
    const { statusCode, headers, body } = await request(new URL(path, admin), options);
    return { status: statusCode, headers, body: (await body.json()) as Json };
  };
  const lastReload = async (): Promise<Json> => (await ask("/api/config")).body.lastReload;
  return {
    gateway,
    admin,
    file,
    ask,
    /** Writes the settings in place, as they are. */
    write: (next: Settings) => writeFile(file, fileText(next)),
    lastReload,
    /** The last reload, as soon as it is as wanted. */
    reloaded: (isWanted: (reload: Json) => boolean) =>
      until(async () => {
        const reload = await lastReload();
        return reload !== undefined && isWanted(reload) ? reload : undefined;
      }, "another reload"),
    reload: () => ask("/api/reload", { method: "POST" }),
    scraped: async (name: string) => {
      const { body } = await request(new URL("/metrics", admin));
      return (await body.text()).split("\n").filter((line) => line.startsWith(name));
    },
    user: (server: string) => new ModernClient(new URL(`/${server}/mcp`, base), { capabilities: EVERYTHING }),
    urlOf: (server: string) => new URL(`/${server}/mcp`, base),
  };
}

/** A server whose tool `slow` ends when the test says so; any other says the server's name. */
export async function named(name: string, options: ScriptedServerOptions = {}) {
  const { opened, open } = gate();
  const answer: Script = async (call) => {
    if (call.message.params?.name === "slow") await Promise.race([opened, call.cancelled]);
    call.json(textResult(name));
  };
  const server: ScriptedServer = await startScriptedServer({ "tools/call": answer }, options);
  onTestFinished(server.close);
  onTestFinished(() => open());
  return { server, finish: () => open(), settings: { upstream: { url: server.url.href } } };
}

/** What `find` finds, as soon as it finds something. */
export async function until<T>(find: () => Promise<T | undefined>, what: string): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
