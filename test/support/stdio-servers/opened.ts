/** Sessions over the standard streams of a process, ended with the test. */

import { onTestFinished } from "vitest";
import type {
  JsonObject,
  JsonRpcNotification,
  JsonRpcRequest,
  JsonRpcResponse,
} from "../../../src/protocol/jsonrpc.ts";
import { type RequestListener, Session } from "../../../src/upstream/sessions/session.ts";
import { type StdioOptions, StdioTransport } from "../../../src/upstream/transports/stdio.ts";
import { Conditions } from "../conditions.ts";

export interface Opened {
  readonly session: Session;
  readonly wire: StdioTransport;
  /** What could not be read. */
  readonly garbage: readonly string[];
  readonly notifications: readonly JsonRpcNotification[];
  /** Settles when the session is lost; at once when it is. */
  lost(): Promise<true>;
  call(tool: string, args?: JsonObject, listener?: RequestListener): Promise<JsonRpcResponse>;
  /** The first text of the result of a call. */
  text(tool: string, args?: JsonObject): Promise<unknown>;
}

export interface OpenOptions {
  readonly capabilities?: JsonObject;
  readonly startTimeoutMs?: number;
  readonly onRequest?: (request: JsonRpcRequest, session: Session) => void;
}

/** @throws UpstreamFailure as `Session.open` does */
export async function opened(
  options: StdioOptions,
  { capabilities = {}, startTimeoutMs = 120_000, onRequest = () => {} }: OpenOptions = {},
): Promise<Opened> {
  const wire = new StdioTransport(options);
  onTestFinished(() => wire.close());
  const garbage: string[] = [];
  const notifications: JsonRpcNotification[] = [];
  let isLost = false;
  const conditions = new Conditions(() => "the session is not lost");
  const session = await Session.open({
    transport: wire,
    clientInfo: { name: "test", version: "1" },
    capabilities,
    holder: { onRequest, onNotification: (notification) => void notifications.push(notification) },
    onGarbage: (error) => void garbage.push(error.message),
    startTimeoutMs,
    share: (description) => description,
    onLost: () => {
      isLost = true;
      conditions.check();
    },
  });
  const call: Opened["call"] = (name, args = {}, listener = {}) =>
    session.request("tools/call", { name, arguments: args }, listener).response;
  return {
    session,
    wire,
    garbage,
    notifications,
    lost: () => conditions.found(() => isLost || undefined, "the loss of the session"),
    call,
    text: async (tool, args) => textOf(await call(tool, args)),
  };
}

/** The first text of a result; of an error, its message. */
export function textOf(response: JsonRpcResponse): unknown {
  if ("error" in response) return response.error.message;
  const { content } = response.result;
  return Array.isArray(content) ? content[0]?.text : undefined;
}
