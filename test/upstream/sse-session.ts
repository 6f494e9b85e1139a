/** A session over HTTP+SSE as the gateway opens them, with somebody who writes down what he is told and asked. */

import { onTestFinished } from "vitest";
import type { JsonObject, JsonRpcMessage } from "../../src/protocol/jsonrpc.ts";
import { UpstreamFailure } from "../../src/upstream/failure.ts";
import { Session } from "../../src/upstream/sessions/session.ts";
import { upstreamAgents } from "../../src/upstream/transports/agents.ts";
import { SseTransport } from "../../src/upstream/transports/sse.ts";
import { type SseServer, startSseServer } from "../support/sse-server.ts";

export interface OpenOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxMessageBytes?: number;
  /** The result that each method of the server's is answered with; what has none is never answered. */
  readonly answers?: Readonly<Record<string, JsonObject>>;
}

export interface OpenSession {
  readonly session: Session;
  /** What the server asked and told, in order. */
  readonly heard: readonly JsonRpcMessage[];
  readonly garbage: readonly Error[];
  /** How often the session was said to be lost, and the first time that it was. */
  readonly losses: number;
  readonly lost: Promise<void>;
}

/** A transport that nothing has been sent on yet. It is closed when the test ends. */
export function wireTo(
  url: URL,
  { headers = {}, maxMessageBytes = 16_777_216 }: Pick<OpenOptions, "headers" | "maxMessageBytes"> = {},
): SseTransport {
  const agents = upstreamAgents();
  onTestFinished(() => agents.destroy());
  const wire = new SseTransport({ url, headers, http: { dispatcher: agents.next(), maxMessageBytes } });
  onTestFinished(() => wire.close());
  return wire;
}

/** Opens a session. It is closed when the test ends. */
export async function openSession(url: URL, options: OpenOptions = {}): Promise<OpenSession> {
  const heard: JsonRpcMessage[] = [];
  const garbage: Error[] = [];
  let losses = 0;
  let lose = () => {};
  const lost = new Promise<void>((resolve) => {
    lose = resolve;
  });
  const session = await Session.open({
    transport: wireTo(url, options),
    clientInfo: { name: "test", version: "1.0.0" },
    capabilities: { elicitation: {}, sampling: {}, roots: {} },
    holder: {
      onRequest: (request, asked) => {
        heard.push(request);
        const result = options.answers?.[request.method];
        if (result !== undefined) void asked.respond(request.id, { result });
      },
      onNotification: (notification) => heard.push(notification),
    },
    onGarbage: (error) => garbage.push(error),
    startTimeoutMs: 30_000,
    share: (description) => description,
    onLost: () => {
      losses += 1;
      lose();
    },
  });
  onTestFinished(() => session.close());
  return {
    session,
    heard,
    garbage,
    lost,
    get losses() {
      return losses;
    },
  };
}

/** How a promise of an answer was broken. */
export async function failureOf(promise: Promise<unknown>): Promise<UpstreamFailure> {
  const caught: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (caught instanceof UpstreamFailure) return caught;
  throw new Error("expected an UpstreamFailure", { cause: caught });
}

/** A scripted server. Nothing is left open there when the sessions have closed, or the test fails. */
export async function serverWith(...how: Parameters<typeof startSseServer>): Promise<SseServer> {
  const server = await startSseServer(...how);
  onTestFinished(server.close);
  onTestFinished(() => server.until(() => server.pending === 0, "every request to be let go"));
  return server;
}
