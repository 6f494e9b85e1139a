/** A gateway that is told to stop while others have its store as well: whoever is new finds nobody, whoever is here is served. */

import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { type Connection, open } from "../gateway/transparent/clients.ts";
import { LegacyWire } from "../support/legacy-wire.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { durable } from "./durable.ts";

const missing = withoutRedis("the end of a gateway with a shared store");

const ENVELOPE = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "test", version: "0" },
  "io.modelcontextprotocol/clientCapabilities": { extensions: { "io.modelcontextprotocol/tasks": {} } },
};

describe.skipIf(missing)("a gateway on Redis that is told to stop", () => {
  test("refuses new connections, and answers on those that it has until its calls have ended", async () => {
    const redis = await redisForTest();
    const { server, start, release } = await durable({ drainTimeout: "60s" }, redis.url);
    const { gateway, user } = await start();
    // For the clients to go to.
    await start();
    const { url } = gateway;
    const { taskId } = await user.callTool("held", { label: "held" });
    await server.arrival("tools/call");
    const legacy = await LegacyWire.connect(url);
    const second = await legacy.begin("held");
    await server.arrival("tools/call", 2);
    const [lists, polls] = [await idle(url), await idle(url)];
    const waiting = legacy.send("tasks/result", { taskId: second.taskId });

    const exited = gateway.kill("SIGTERM");
    await refused(url);
    lists.send(post("tools/list", 2));
    await lists.closed();
    expect(answers(lists)[1]).toMatch(/^HTTP\/1\.1 200 OK\r\nConnection: close\r\n/);
    polls.send(post("tasks/get", 2, { taskId }));
    // Held, for as long as the call runs.
    await refused(url);
    expect(answers(polls)).toHaveLength(1);
    release();
    await polls.closed();
    expect(answers(polls)[1]).toMatch(/^HTTP\/1\.1 200 OK\r\nConnection: close\r\n/);
    expect(answers(polls)[1]).toContain('"status":"completed"');
    expect((await waiting).message.result).toMatchObject({ content: [{ type: "text" }] });
    expect(await exited).toEqual({ code: 0, signal: null });
  });

  test("says nothing to a client that is between two requests, and goes when nothing is left to do", async () => {
    const redis = await redisForTest();
    const { start } = await durable({ drainTimeout: "60s" }, redis.url);
    const { gateway } = await start();
    await start();
    const connection = await idle(gateway.url);
    expect(await gateway.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    await connection.closed();
    expect(answers(connection)).toHaveLength(1);
  });
});

/** A connection on which one request has been answered, and that is kept. */
async function idle(url: URL): Promise<Connection> {
  const connection = open(url, post("tools/list", 1));
  await connection.until('"id":1');
  expect(connection.received).toContain("\r\nConnection: keep-alive\r\n");
  return connection;
}

function answers({ received }: Connection): string[] {
  return received.split(/(?=HTTP\/1\.1 )/);
}

/** Settles when nobody takes a connection any more. */
async function refused(url: URL): Promise<void> {
  for (;;) {
    const socket = connect(Number(url.port), url.hostname);
    try {
      await once(socket, "connect");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A connection that waited to be taken when the listener closed is reset.
      expect(["ECONNREFUSED", "ECONNRESET"]).toContain(code);
      if (code === "ECONNREFUSED") return;
    } finally {
      socket.destroy();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function post(method: string, id: number, params: Readonly<Record<string, string>> = {}): string {
  const body = JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: ENVELOPE } });
  const head = [
    "POST /mcp HTTP/1.1",
    "Host: 127.0.0.1",
    "Accept: application/json, text/event-stream",
    "Content-Type: application/json",
    "MCP-Protocol-Version: 2026-07-28",
    `Mcp-Method: ${method}`,
    ...(params.taskId === undefined ? [] : [`Mcp-Name: ${params.taskId}`]),
    `Content-Length: ${body.length}`,
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}
