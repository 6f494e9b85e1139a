/** A client over stdio that is nothing but lines: what it is sent can be looked at, and what it sends can be wrong. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { COMMAND } from "../cli/process.ts";
import { Conditions } from "../support/conditions.ts";
import { type Json, TASKS } from "../support/modern-client.ts";

export interface RawClientOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** What requests of 2026-07-28 declare: tasks unless given. */
  readonly capabilities?: JsonObject;
}

export interface RawClient {
  readonly pid: number;
  /** Every message so far, in its order. */
  readonly heard: readonly Json[];
  readonly stderr: string;
  /** Writes a line as it is, and its break. */
  write(line: string | Buffer): void;
  /** Sends a message. */
  send(message: JsonObject): void;
  /** Sends a request of 2026-07-28 under an id of its own, which it gives. */
  open(method: string, params?: JsonObject, meta?: JsonObject): string;
  /** The same, and waits for the answer. */
  ask(method: string, params?: JsonObject, meta?: JsonObject): Promise<Json>;
  /** Opens a session of an older revision, and gives the answer; its id, 0, is one of those that are easily taken for none. */
  initialize(protocolVersion: string, capabilities?: JsonObject): Promise<Json>;
  /** Sends a request in that session, and gives the answer. */
  request(method: string, params?: JsonObject): Promise<Json>;
  /** The result of such a request; an error fails the test. */
  result(method: string, params?: JsonObject): Promise<Json>;
  /** The first message that is as wanted, as soon as it has come. */
  message(isWanted: (message: Json) => boolean, what?: string): Promise<Json>;
  /** The answer to a request. */
  answer(id: unknown): Promise<Json>;
  /** The parameters of the first notification of this method that are as wanted. */
  notified(method: string, isWanted?: (params: Json) => boolean): Promise<Json>;
  /** Polls until the task is as wanted. */
  taskWhen(taskId: string, isWanted: (task: Json) => boolean): Promise<Json>;
  settled(taskId: string): Promise<Json>;
  /** Waits until this is on stderr. */
  logged(text: string): Promise<unknown>;
  /** Closes its end of the gateway's input. */
  end(): void;
  /** Reads nothing more, and says so. */
  stopReading(): void;
  signal(signal: NodeJS.Signals): void;
  /** Settles when the gateway has ended, with its exit code or the name of the signal that ended it. */
  readonly exited: Promise<number | string>;
}

const PATIENCE_MS = 120_000;
const MODERN = "2026-07-28";

/** Starts `mcp-taskgate stdio` with these arguments. What it writes to stdout is a message a line, or the test fails. */
export function startStdio(
  args: readonly string[],
  { env = {}, capabilities = TASKS }: RawClientOptions = {},
): RawClient {
  const child = spawn(process.execPath, [...COMMAND, "stdio", ...args], {
    env: { PATH: process.env.PATH ?? "", ...env },
    stdio: "pipe",
  });
  const exited = once(child, "close").then(([code, signal]): number | string => code ?? signal);
  const lines: string[] = [];
  const heard: Json[] = [];
  let stderr = "";
  let rest = "";
  const conditions = new Conditions(
    () => `heard ${JSON.stringify(lines)}, and on stderr ${stderr}`,
    PATIENCE_MS,
  );
  child.stdin.on("error", () => {});
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    conditions.check();
  });
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    heard.push(...parts.map((line) => asMessage(line) ?? {}));
    conditions.check();
  });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exited;
    expect(lines.filter((line) => asMessage(line)?.jsonrpc !== "2.0")).toEqual([]);
  });

  let lastId = 0;
  const write = (line: string | Buffer) => {
    child.stdin.write(line);
    child.stdin.write("\n");
  };
  const send = (message: JsonObject) => write(JSON.stringify({ jsonrpc: "2.0", ...message }));
  const message: RawClient["message"] = (isWanted, what = "a message") =>
    conditions.found(() => heard.find(isWanted), what);
  const answer = (id: unknown) =>
    message((each) => each.id === id && each.method === undefined, `the answer to ${id}`);
  const open: RawClient["open"] = (method, params = {}, meta = {}) => {
    lastId += 1;
    const id = `m${lastId}`;
    const envelope = {
      "io.modelcontextprotocol/protocolVersion": MODERN,
      "io.modelcontextprotocol/clientInfo": { name: "test", version: "0" },
      "io.modelcontextprotocol/clientCapabilities": capabilities,
    };
    send({ id, method, params: { ...params, _meta: { ...envelope, ...meta } } });
    return id;
  };
  const ask: RawClient["ask"] = (...request) => answer(open(...request));
  const request = (method: string, params: JsonObject = {}) => {
    lastId += 1;
    send({ id: lastId, method, params });
    return answer(lastId);
  };
  const taskWhen: RawClient["taskWhen"] = async (taskId, isWanted) => {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const { result } = await ask("tasks/get", { taskId });
      if (isWanted(result)) return result;
      if (Date.now() > deadline)
        throw new Error(`the task never became as wanted: ${JSON.stringify(result)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  return {
    pid: child.pid as number,
    heard,
    get stderr() {
      return stderr;
    },
    write,
    send,
    open,
    ask,
    initialize: async (protocolVersion, capabilities = {}) => {
      const clientInfo = { name: "test", version: "0" };
      send({ id: 0, method: "initialize", params: { protocolVersion, capabilities, clientInfo } });
      const initialized = await answer(0);
      send({ method: "notifications/initialized" });
      return initialized;
    },
    request,
    result: async (method, params) => {
      const { result, error } = await request(method, params);
      expect(error).toBeUndefined();
      return result;
    },
    message,
    answer,
    notified: async (method, isWanted = () => true) =>
      (await message((each) => each.method === method && isWanted(each.params), method)).params,
    taskWhen,
    settled: (taskId) => taskWhen(taskId, ({ status }) => !["working", "input_required"].includes(status)),
    logged: (text) => conditions.found(() => (stderr.includes(text) ? true : undefined), text),
    end: () => void child.stdin.end(),
    stopReading: () => void child.stdout.destroy(),
    signal: (signal) => void child.kill(signal),
    exited,
  };
}

/** What the line says; `undefined` if it is no message, which the end of the test will tell. */
function asMessage(line: string): Json {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
