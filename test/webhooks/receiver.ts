import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { onTestFinished, vi } from "vitest";
import type { WebhookConfig } from "../../src/config/config.ts";
import type { Json } from "../support/modern-client.ts";

export const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

/** A delivery as it came, with a signature that is right. */
export interface Received {
  readonly id: string;
  readonly body: Json;
  readonly text: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
}

/** What a receiver does with a delivery; 204 unless it answers something else. */
export type Take = (delivery: Received, response: ServerResponse) => void | Promise<void>;

export interface Receiver {
  readonly url: URL;
  readonly received: Received[];
  /** What comes of the next deliveries. */
  take: Take;
  /** The events that it was told, by type, in order. */
  types(): string[];
  until(isSo: () => boolean): Promise<void>;
  webhook(more?: Partial<WebhookConfig>): WebhookConfig;
}

/** A receiver of webhooks that verifies every delivery with the official library: one with a wrong signature fails the test. */
export async function startReceiver(secret = SECRET): Promise<Receiver> {
  const received: Received[] = [];
  const wrong: unknown[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString("utf8");
    try {
      const headers = request.headers as Record<string, string>;
      const body = new Webhook(secret).verify(text, headers) as Json;
      const delivery = {
        id: String(request.headers["webhook-id"]),
        body,
        text,
        path: request.url ?? "",
        headers: request.headers,
      };
      received.push(delivery);
      await receiver.take(delivery, response);
    } catch (error) {
      wrong.push(error);
      response.statusCode = 400;
    }
    if (!response.writableEnded && !response.headersSent) response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    if (wrong.length > 0) throw wrong[0];
  });
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`);
  const receiver: Receiver = {
    url,
    received,
    take: answering(204),
    types: () => received.map(({ body }) => body.type),
    until: (isSo) => vi.waitUntil(isSo, { timeout: 60_000, interval: 5 }).then(() => {}),
    webhook: (more = {}) => ({
      name: "receiver",
      url,
      secrets: [secret],
      events: ["input_required", "completed", "failed", "cancelled", "lost"],
      servers: [],
      tools: [],
      include: "status",
      attempts: 10,
      timeoutMs: 5_000,
      ...more,
    }),
  };
  return receiver;
}

/** Answers so each time. */
export function answering(status: number, headers: Readonly<Record<string, string>> = {}): Take {
  return (_, response) => {
    response.writeHead(status, headers).end();
  };
}
