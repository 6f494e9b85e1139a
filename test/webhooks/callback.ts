import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { onTestFinished, vi } from "vitest";
import type { EventsConfig } from "../../src/config/config.ts";
import type { Json } from "../support/modern-client.ts";

export const secretOf = (byte: number): string => `whsec_${Buffer.alloc(32, byte).toString("base64")}`;
export const SECRET = secretOf(7);
export const EVENT = "taskgate.task.updated";

/** As in a file that leaves all out but `subscriptions`, with receivers on this machine. */
export const EVENTS: EventsConfig = {
  errorNumbers: "sketch",
  maxSubscriptions: 1_000,
  maxPerCaller: 20,
  maxTtlMs: 86_400_000,
  timeoutMs: 2_000,
  allowedHosts: ["127.0.0.1"],
};

/** Something that the gateway posted, with the secrets by which its signature is right. */
export interface Posted {
  readonly id: string;
  readonly subscription: string;
  readonly body: Json;
  readonly path: string;
  readonly timestamp: string;
  readonly signedBy: readonly string[];
}

export type Answer = (posted: Posted, response: ServerResponse) => void | Promise<void>;

export interface Callback {
  readonly url: string;
  readonly events: Posted[];
  readonly challenges: Posted[];
  /** What comes of the next events; 204 unless it is something else. */
  take: Answer;
  /** What comes of the next challenges; the right answer unless it is something else. */
  verify: Answer;
  until(isSo: () => boolean): Promise<void>;
  /** The params of a subscription. */
  wish(args?: Json, more?: Json, path?: string): Json;
}

/** The receiver of one client. It verifies each delivery with the official library, by every secret that it may know. */
export async function startCallback(known: readonly string[] = [SECRET]): Promise<Callback> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const posted = postedOf(request, Buffer.concat(chunks).toString("utf8"), known);
    const isChallenge = posted.body.type === "verification";
    (isChallenge ? callback.challenges : callback.events).push(posted);
    await (isChallenge ? callback.verify : callback.take)(posted, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback?user=1`;
  const callback: Callback = {
    url,
    events: [],
    challenges: [],
    take: answering(204),
    verify: ({ body }, response) => void response.end(JSON.stringify({ challenge: body.challenge })),
    until: (isSo) => vi.waitUntil(isSo, { timeout: 60_000, interval: 5 }).then(() => {}),
    wish: (args = {}, more = {}, path = "") => ({
      name: EVENT,
      arguments: args,
      delivery: { mode: "webhook", url: url + path, secret: known[0] },
      ...more,
    }),
  };
  return callback;
}

function postedOf({ headers, url = "" }: IncomingMessage, text: string, known: readonly string[]): Posted {
  return {
    id: String(headers["webhook-id"]),
    subscription: String(headers["x-mcp-subscription-id"]),
    body: JSON.parse(text),
    path: url,
    timestamp: String(headers["webhook-timestamp"]),
    signedBy: known.filter((secret) => {
      try {
        new Webhook(secret).verify(text, headers as Record<string, string>);
        return true;
      } catch {
        return false;
      }
    }),
  };
}

export function answering(status: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return (_, response) => void response.writeHead(status, headers).end();
}
