/** Clients that can do what no well-behaved one does. */

import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { onTestFinished } from "vitest";
import { Conditions } from "../../support/conditions.ts";

export interface Answered {
  readonly status: number;
  readonly reason: string;
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface Asking {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** One request on a connection of its own, and all of the answer. Rejects when the answer breaks off. */
export function ask(
  url: URL,
  { method = "GET", path = "/", headers = {}, body }: Asking = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("error", reject);
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("end", () => {
        const { statusCode = 0, statusMessage = "", rawHeaders } = response;
        resolve({
          status: statusCode,
          reason: statusMessage,
          rawHeaders,
          headers: response.headers,
          body: Buffer.concat(chunks),
        });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

export interface Connection {
  /** Everything that came so far, as latin1. */
  readonly received: string;
  readonly isClosed: boolean;
  send(bytes: string): void;
  /** Stops reading, and goes on. */
  pause(): void;
  resume(): void;
  /** Settles as soon as this text is there. */
  until(text: string): Promise<void>;
  /** Settles when the connection is over, whoever ended it. */
  closed(): Promise<void>;
  /** Has nothing more to say, but reads on. */
  end(): void;
  /** Vanishes. */
  leave(): void;
}

/** A connection with these bytes sent on it. It is gone when the test ends. */
export function open(url: URL, bytes: string): Connection {
  let received = "";
  let isClosed = false;
  const conditions = new Conditions(() => `received: ${received.slice(-500) || "nothing"}`);
  const socket = connect(Number(url.port), url.hostname);
  socket.write(Buffer.from(bytes, "latin1"));
  socket.on("error", () => undefined);
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    conditions.check();
  });
  socket.once("close", () => {
    isClosed = true;
    conditions.check();
  });
  onTestFinished(() => void socket.destroy());
  return {
    get received() {
      return received;
    },
    get isClosed() {
      return isClosed;
    },
    send: (more) => void socket.write(Buffer.from(more, "latin1")),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    until: async (text) => {
      await conditions.found(() => received.includes(text) || undefined, JSON.stringify(text));
    },
    closed: async () => {
      await conditions.found(() => isClosed || undefined, "the end of the connection");
    },
    end: () => void socket.end(),
    leave: () => void socket.destroy(),
  };
}

/** The head of a request, with an empty line at its end. */
export function head(method: string, path = "/", headers: readonly string[] = []): string {
  return [`${method} ${path} HTTP/1.1`, "Host: gateway", ...headers, "", ""].join("\r\n");
}
