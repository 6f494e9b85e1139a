import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import type { Request } from "./requests.ts";

/**
 * One keep-alive connection with one request in flight, on a bare socket: a client library would cost more than some of
 * what is measured. It reads as much of HTTP as the programs here send, and nothing else.
 */
export class Connection {
  readonly #socket: Socket;
  #received = "";
  #settle: ((response: string) => void) | undefined;
  #fail: ((error: Error) => void) | undefined;

  static async open(port: number): Promise<Connection> {
    const socket = createConnection({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new Connection(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      this.#received += chunk;
      if (isComplete(this.#received)) this.#settle?.(this.#received);
    });
    socket.on("error", (error) => this.#fail?.(error));
    socket.on("close", () => this.#fail?.(new Error(`the server hung up after: ${this.#received}`)));
  }

  /** Sends what `encode` made, and gives the whole response, head included. */
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

export function encode(port: number, path: string, { headers, body }: Request): Buffer {
  const all = {
    host: `127.0.0.1:${port}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    ...headers,
    "content-length": String(Buffer.byteLength(body)),
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
}

function isComplete(received: string): boolean {
  const head = received.indexOf("\r\n\r\n");
  if (head === -1) return false;
  const length = /content-length: (\d+)/i.exec(received.slice(0, head))?.[1];
  if (length !== undefined) return received.length >= head + 4 + Number(length);
  return received.endsWith("\r\n0\r\n\r\n");
}
