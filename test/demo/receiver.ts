import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

export interface Receiver {
  readonly url: string;
  /** Signs what it is told. */
  readonly secret: string;
  /** What it is told next, or was told and nobody has asked for: one line. */
  told(): Promise<string>;
}

/** Somebody who wants to know when a task has ended. It believes only what the gateway has signed. */
export async function startReceiver(): Promise<Receiver> {
  const secret = `whsec_${randomBytes(32).toString("base64")}`;
  const lines: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const headers = request.headers as Record<string, string>;
    const event = new Webhook(secret).verify(Buffer.concat(chunks).toString("utf8"), headers) as {
      readonly type: string;
      readonly data: { readonly tool: string; readonly task: { readonly status: string } };
    };
    response.statusCode = 204;
    response.end();
    lines.push(`${event.type}: ${event.data.tool} is ${event.data.task.status}`);
    server.emit("told");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  // The demo ends when it is over, whoever may still call.
  server.unref();
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    secret,
    told: async () => {
      while (lines.length === 0) await once(server, "told");
      const line = lines.shift();
      assert.ok(line !== undefined);
      return line;
    },
  };
}
