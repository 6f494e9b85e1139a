import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
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

const GONE: Exit = { code: null, signal: null };

/** A client that starts its gateway itself, again and again, and speaks with it over its streams. */
export class StdioClient implements TaskClient {
  readonly #args: readonly string[];
  readonly #waiting = new Map<number, (message: Json) => void>();
  /** The process that answers. */
  #child: ChildProcessWithoutNullStreams | undefined;
  /** Ends the last process that was begun. */
  #end: (signal: NodeJS.Signals) => Promise<Exit> = async () => GONE;
  #lastId = 0;
  stderr = "";

  /** With the arguments of `mcp-taskgate stdio`. */
  constructor(args: readonly string[]) {
    this.#args = args;
  }

  /** Settles when it answers; whoever asks before that is refused, as at a port where nobody listens yet. */
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
    this.#end = async (signal) => {
      const exited = once(child, "exit");
      child.kill(signal);
      const [code, by] = await exited;
      return { code, signal: by };
    };
    child.once("exit", () => {
      this.#child = undefined;
      this.#end = async () => GONE;
      for (const [id, answered] of this.#waiting) answered({ id, lost: true });
    });
    await this.#ask(child, "server/discover", {}).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.stderr.slice(-1_000)}`);
    });
    this.#child = child;
  }

  async send(
    method: string,
    params: JsonObject,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<TaskAnswer> {
    if (this.#child === undefined) throw lost("ECONNREFUSED");
    return this.#ask(this.#child, method, params, signal);
  }

  /** Sends a signal and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<Exit> {
    return this.#end(signal);
  }

  async #ask(
    { stdin }: ChildProcessWithoutNullStreams,
    method: string,
    params: JsonObject,
    signal?: AbortSignal,
  ): Promise<TaskAnswer> {
    this.#lastId += 1;
    const id = this.#lastId;
    const stop = new Promise<never>((_, reject) =>
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true }),
    );
    const answered = new Promise<Json>((resolve) => this.#waiting.set(id, resolve));
    stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: META } })}\n`);
    try {
      const message = await Promise.race([answered, stop]);
      if (message.lost) throw lost("ECONNRESET");
      return { status: 200, message, text: JSON.stringify(message) };
    } finally {
      this.#waiting.delete(id);
    }
  }
}

function lost(code: string): Error {
  return Object.assign(new Error(`the gateway has gone (${code})`), { code });
}
