import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { COMMAND } from "../../cli/process.ts";
import type { Exit } from "../../support/gateway-process.ts";
import type { Json } from "../../support/modern-client.ts";
import { CAPABILITIES, type TaskAnswer, type TaskClient } from "./clients.ts";

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "0" },
  "io.modelcontextprotocol/clientCapabilities": CAPABILITIES,
};

/** A client that starts its gateway itself, again and again, and speaks with it over its streams. */
export class StdioClient implements TaskClient {
  readonly #args: readonly string[];
  readonly #waiting = new Map<number, (message: Json) => void>();
  #child: ChildProcess | undefined;
  #lastId = 0;
  stderr = "";

  /** With the arguments of `mcp-taskgate stdio`. */
  constructor(args: readonly string[]) {
    this.#args = args;
  }

  /** Settles when it answers. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [...COMMAND, "stdio", ...this.#args], { stdio: "pipe" });
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      // Half a line may be all that a killed process got out.
      const message = child.killed ? undefined : JSON.parse(line);
      this.#waiting.get(message?.id)?.(message);
    });
    this.#child = child;
    child.once("exit", () => {
      this.#child = undefined;
      for (const [id, answered] of this.#waiting) answered({ id, lost: true });
    });
    await this.send("server/discover", {});
  }

  async send(
    method: string,
    params: JsonObject,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<TaskAnswer> {
    if (this.#child === undefined) throw lost("ECONNREFUSED");
    this.#lastId += 1;
    const id = this.#lastId;
    const stop = new Promise<never>((_, reject) =>
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true }),
    );
    const answered = new Promise<Json>((resolve) => this.#waiting.set(id, resolve));
    const body = { jsonrpc: "2.0", id, method, params: { ...params, _meta: META } };
    this.#child.stdin?.write(`${JSON.stringify(body)}\n`);
    try {
      const message = await Promise.race([answered, stop]);
      if (message.lost) throw lost("ECONNRESET");
      return { status: 200, message, text: JSON.stringify(message) };
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** Sends a signal and waits for the end. */
  async kill(signal: NodeJS.Signals): Promise<Exit> {
    const child = this.#child;
    if (child === undefined) return { code: null, signal: null };
    const exited = once(child, "exit");
    child.kill(signal);
    const [code, by] = await exited;
    return { code, signal: by };
  }
}

function lost(code: string): Error {
  return Object.assign(new Error(`the gateway has gone (${code})`), { code });
}
