/** A scripted server behind a gateway, and requests to it that are wrong in one way each. */

import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { type GatewaySettings, type GatewayUnderTest, gatewayFor } from "../support/gateway.ts";
import {
  type Script,
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
} from "../support/scripted-server.ts";

export interface Served extends GatewayUnderTest {
  readonly server: ScriptedServer;
}

export const ENVELOPE = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "0" },
  "io.modelcontextprotocol/clientCapabilities": {},
} as const;

/** Headers of a request for `tools/list` that has nothing wrong with it. */
export const LIST_HEADERS = {
  host: "127.0.0.1",
  accept: "application/json, text/event-stream",
  "content-type": "application/json",
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": "tools/list",
} as const;

export const LIST = { jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta: ENVELOPE } } as const;

/** Starts both; they are closed when the test ends. */
export async function served({
  scripts,
  options,
  ...settings
}: {
  readonly scripts?: Readonly<Record<string, Script>>;
  readonly options?: ScriptedServerOptions;
} & Omit<GatewaySettings, "upstream"> = {}): Promise<Served> {
  const server = await startScriptedServer(scripts, options);
  onTestFinished(server.close);
  const gateway = await gatewayFor({ upstream: server.url, ...settings });
  return { ...gateway, server };
}

/** The methods that the server was asked, without those that make and keep a session, and the question of which era it is. */
export function asked(server: ScriptedServer): string[] {
  const ours = ["server/discover", "initialize", "notifications/initialized", "GET", "DELETE"];
  return server.received.map(({ method }) => method).filter((method) => !ours.includes(method));
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A connection on which a test writes what it likes. */
export class RawConnection {
  readonly #socket: Socket;
  #received = "";
  readonly #closed: Promise<void>;

  constructor(url: URL) {
    this.#socket = connect(Number(url.port), url.hostname.replace(/[[\]]/g, ""));
    this.#socket.on("data", (chunk: Buffer) => {
      this.#received += chunk.toString("latin1");
    });
    // A connection that is reset has been closed, which is all that a test wants to know.
    this.#socket.on("error", () => undefined);
    this.#closed = new Promise((resolve) => this.#socket.once("close", () => resolve()));
    onTestFinished(() => void this.#socket.destroy());
  }

  write(text: string | Buffer): this {
    this.#socket.write(text);
    return this;
  }

  /** Writes the head of a POST, with these headers and nothing that a client would add. */
  post(path: string, headers: Readonly<Record<string, string | number>>): this {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    return this.write(`POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  }

  /** Has nothing more to say, but listens. */
  end(): this {
    this.#socket.end();
    return this;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Everything that came until the gateway closed the connection, as the answer it is. */
  async answer(): Promise<RawAnswer> {
    await this.#closed;
    const [head = "", ...rest] = this.#received.split("\r\n\r\n");
    const [statusLine = "", ...lines] = head.split("\r\n");
    const headers = lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    });
    return {
      status: Number(statusLine.split(" ")[1]),
      headers: Object.fromEntries(headers),
      body: rest.join("\r\n\r\n"),
    };
  }
}

/** The text of a request: `tools/list`, unless it is said otherwise. */
export function messageText(change: JsonObject = {}): string {
  return JSON.stringify({ ...LIST, ...change });
}
