/** The clients of the v1 SDK, each as its release was published, and everything that they hear. */

import type { Client } from "@modelcontextprotocol/sdk/client/index.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js";
import { onTestFinished } from "vitest";
import { type SdkRelease, sdk } from "../peers/peers.ts";
import { Conditions } from "./conditions.ts";
import type { Json } from "./modern-client.ts";

export type LegacyTransport = "streamable-http" | "sse";

export interface LegacyClient {
  readonly client: Client;
  /** The id that the server gave the session; undefined over HTTP+SSE, where the client does not know it, and over stdio. */
  readonly sessionId: string | undefined;
  /** Every message that came from the server, as it came. */
  readonly heard: readonly Json[];
  /** The parameters of what the server asked, in its order. */
  readonly asked: readonly Json[];
  /** The first notification of this method that `isMeant`, as soon as it has been heard. */
  notified(method: string, isMeant?: (params: Json) => boolean): Promise<Json>;
  /** Ends the session with the server (DELETE), which HTTP+SSE and stdio do not know. */
  terminate(): Promise<void>;
}

type Answer = Readonly<Record<string, string | number | boolean>>;

export interface LegacyClientOptions {
  readonly transport?: LegacyTransport;
  /** What an elicitation is answered with, as soon as it is there. */
  readonly answer?: Answer | Promise<Answer>;
}

/**
 * Connects a client that can be asked whatever its release knows: `Paris` is what its model says, `file:///home` its root.
 * It is closed when the test ends.
 */
export async function connectLegacy(
  release: SdkRelease,
  url: URL,
  { transport = "streamable-http", answer = {} }: LegacyClientOptions = {},
): Promise<LegacyClient> {
  const isReady = () => (transport === "streamable-http" ? streamOpened() : undefined);
  return connectOver(release, await newWire(release, transport, url), answer, isReady);
}

/** The same with a server that the client starts itself. */
export async function connectLegacyToCommand(
  release: SdkRelease,
  command: { readonly command: string; readonly args: string[] },
  { answer = {} }: Pick<LegacyClientOptions, "answer"> = {},
): Promise<LegacyClient> {
  const module: typeof import("@modelcontextprotocol/sdk/client/stdio.js") = await import(
    sdk(release, "client/stdio")
  );
  const wire = new module.StdioClientTransport({ ...command, stderr: "ignore" });
  return connectOver(release, { transport: wire, terminate: () => wire.close() }, answer);
}

async function connectOver(
  release: SdkRelease,
  wire: Awaited<ReturnType<typeof newWire>>,
  answer: Answer | Promise<Answer>,
  isReady: () => Promise<void> | undefined = () => undefined,
): Promise<LegacyClient> {
  const { client, types } = await newClient(release);
  const asked: Json[] = [];
  client.setRequestHandler(types.CreateMessageRequestSchema, ({ params }) => {
    asked.push(params);
    return { model: "none", role: "assistant", content: { type: "text", text: "Paris" } };
  });
  client.setRequestHandler(types.ListRootsRequestSchema, () => ({
    roots: [{ uri: "file:///home", name: "Home" }],
  }));
  if (knowsElicitation(release)) {
    client.setRequestHandler(types.ElicitRequestSchema, async ({ params }) => {
      asked.push(params);
      return { action: "accept", content: await answer };
    });
  }
  const overheard = new Overheard(wire.transport);
  await Promise.all([client.connect(overheard), isReady()]);
  onTestFinished(() => client.close());
  return {
    client,
    get sessionId() {
      return overheard.sessionId;
    },
    heard: overheard.heard,
    asked,
    notified: (method, isMeant = () => true) =>
      overheard.conditions.found(
        () => overheard.heard.find((message) => message.method === method && isMeant(message.params))?.params,
        method,
      ),
    terminate: wire.terminate,
  };
}

/** Elicitation came with 2025-06-18. */
export const knowsElicitation = (release: SdkRelease): boolean => release !== "1.10";

/** The modules of every release are known here by the types of the newest. */
async function newClient(release: SdkRelease) {
  const module: typeof import("@modelcontextprotocol/sdk/client/index.js") = await import(
    sdk(release, "client/index")
  );
  const types: typeof import("@modelcontextprotocol/sdk/types.js") = await import(sdk(release, "types"));
  const capabilities = {
    sampling: {},
    roots: { listChanged: true },
    ...(knowsElicitation(release) ? { elicitation: {} } : {}),
  };
  return { client: new module.Client({ name: "test", version: release }, { capabilities }), types };
}

async function newWire(release: SdkRelease, transport: LegacyTransport, url: URL) {
  switch (transport) {
    case "streamable-http": {
      const module: typeof import("@modelcontextprotocol/sdk/client/streamableHttp.js") = await import(
        sdk(release, "client/streamableHttp")
      );
      const wire = new module.StreamableHTTPClientTransport(url);
      return { transport: wire as Transport, terminate: () => wire.terminateSession() };
    }
    case "sse": {
      const module: typeof import("@modelcontextprotocol/sdk/client/sse.js") = await import(
        sdk(release, "client/sse")
      );
      const wire = new module.SSEClientTransport(url);
      return { transport: wire as Transport, terminate: () => wire.close() };
    }
  }
}

/**
 * When the client has its stream for whatever belongs to no request. It opens it by itself and tells nobody, and a server's
 * question is lost that comes before; releases of the SDK differ in whether they can be given a `fetch` of one's own.
 */
function streamOpened(): Promise<void> {
  const { fetch } = globalThis;
  return new Promise((resolve) => {
    globalThis.fetch = async (input, init) => {
      const response = await fetch(input, init);
      if (init?.method === "GET") {
        globalThis.fetch = fetch;
        resolve();
      }
      return response;
    };
  });
}

/** Passes everything on, and keeps what came from the server. */
class Overheard implements Transport {
  readonly heard: Json[] = [];
  readonly conditions = new Conditions(() => `heard ${this.heard.map(({ method, id }) => method ?? id)}`);
  readonly #wire: Transport;
  onmessage?: Transport["onmessage"];
  onclose?: Transport["onclose"];
  onerror?: Transport["onerror"];

  constructor(wire: Transport) {
    this.#wire = wire;
  }

  get sessionId(): string | undefined {
    return this.#wire.sessionId;
  }

  start(): Promise<void> {
    this.#wire.onmessage = (message: JSONRPCMessage, extra) => {
      this.heard.push(message);
      this.onmessage?.(message, extra);
      this.conditions.check();
    };
    this.#wire.onclose = () => this.onclose?.();
    this.#wire.onerror = (error) => this.onerror?.(error);
    return this.#wire.start();
  }

  send(...args: Parameters<Transport["send"]>): Promise<void> {
    return this.#wire.send(...args);
  }

  close(): Promise<void> {
    return this.#wire.close();
  }

  setProtocolVersion(version: string): void {
    this.#wire.setProtocolVersion?.(version);
  }
}
