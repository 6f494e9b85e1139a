import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Request } from "./requests.ts";

/**
 * One keep-alive connection with one request in flight, on a bare socket: a client library would cost more than some of
 * what is measured. It reads as much of HTTP as the programs here send, and nothing else.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #isWhole: (received: string) => boolean;
  #received = "";
  #settle: ((response: string) => void) | undefined;
  #fail: ((error: Error) => void) | undefined;

  /** @param until what of a response is waited for */
  static async open(port: number, until: "end" | "event" = "end"): Promise<Connection> {
    const socket = createConnection({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new Connection(socket, until === "end" ? isComplete : hasEvent);
  }

  private constructor(socket: Socket, isWhole: (received: string) => boolean) {
    this.#socket = socket;
    this.#isWhole = isWhole;
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      this.#received += chunk;
      if (this.#isWhole(this.#received)) this.#settle?.(this.#received);
    });
    socket.on("error", (error) => this.#fail?.(error));
    socket.on("close", () => this.#fail?.(new Error(`the server hung up after: ${this.#received}`)));
  }

  /** Sends what `encode` made, and gives what is waited for of the response, head included. */
  send(bytes: Buffer): Promise<string> {
    this.#received = "";
    return new Promise((resolve, reject) => {
      this.#settle = resolve;
      this.#fail = reject;
      this.#socket.write(bytes);
    });
  }

  close(): void {
    this.#fail = undefined;
    this.#socket.destroy();
  }
}

/** Resolves when somebody listens on a port of loopback. */
export async function listening(port: number): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await Connection.open(port)).close();
    } catch (error) {
      if (attempt === MAX_ATTEMPTS) throw error;
      await sleep(20);
    }
  }
}

/** @param path where it goes unless it says so itself */
export function encode(port: number, path: string, request: Request): Buffer {
  const { method = "POST", headers, body = "" } = request;
  const framing = { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) };
  const all = {
    host: `127.0.0.1:${port}`,
    accept: "application/json, text/event-stream",
    ...(method === "POST" ? framing : {}),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${method} ${request.path ?? path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
}

const MAX_ATTEMPTS = 500;

function isComplete(received: string): boolean {
  const head = received.indexOf("\r\n\r\n");
  if (head === -1) return false;
  const length = /content-length: (\d+)/i.exec(received.slice(0, head))?.[1];
  if (length !== undefined) return received.length >= head + 4 + Number(length);
  return received.endsWith("\r\n0\r\n\r\n");
}

function hasEvent(received: string): boolean {
  const head = received.indexOf("\r\n\r\n");
  return head !== -1 && received.includes("\n\n", head + 4);
}
