/** Clients that close their half of the connection when they have asked: those that still read, and those that have left. */

import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { answerHalfClosed } from "../../src/http/half-closed.ts";
import { beatsBy } from "../../src/requests/keep-alive.ts";
import { type Connection, open } from "../gateway/transparent/clients.ts";
import { Conditions } from "../support/conditions.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { ENVELOPE, LIST, served } from "./served.ts";

const BOTH = "application/json, text/event-stream";
const CALL = { jsonrpc: "2.0", id: 7, method: "tools/call", params: { name: "t", arguments: {} } };
const LEGACY = ["MCP-Protocol-Version: 2025-11-25"];
const MODERN = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: t"];
const GENERATIONS = {
  "a call as of 2026-07-28": {
    lines: MODERN,
    message: { ...CALL, params: { ...CALL.params, _meta: ENVELOPE } },
  },
  "a forwarded call": { lines: LEGACY, message: CALL },
} as const;
type Generation = keyof typeof GENERATIONS;
const NAMES = Object.keys(GENERATIONS) as Generation[];

interface Saying {
  readonly version?: string;
  readonly accept?: string;
  readonly lines: readonly string[];
  readonly message: unknown;
}

function post({ version = "HTTP/1.1", accept = BOTH, lines, message }: Saying): string {
  const body = JSON.stringify(message);
  const head = [
    `POST /mcp ${version}`,
    "Host: 127.0.0.1",
    `Accept: ${accept}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    ...lines,
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}

/** A server that knows no sessions, and a connection on which this has been said and the sending half is closed. */
async function halfClosed(saying: Saying) {
  const { url, server } = await served({
    options: { stateless: true },
    scripts: { "tools/call": () => {} },
    policy: { mode: "never", waitForMs: 60_000 },
  });
  const connection = open(url, post(saying));
  connection.end();
  return { url, server, connection, call: () => server.arrival("tools/call") };
}

function wantsDone(connection: Connection): void {
  expect(connection.received).toContain('"id":7');
  expect(connection.received).toContain("it is done");
}

/** A client that has closed its half, of a server that looks more often, and waits less, than others. */
async function impatient(onRequest: (response: ServerResponse) => void, version = "HTTP/1.1") {
  const responses: ServerResponse[] = [];
  const conditions = new Conditions(() => `${responses.length} requests`);
  const server = createServer((_request, response) => {
    onRequest(response);
    responses.push(response);
    conditions.check();
  });
  answerHalfClosed(server, { longestPauseMs: 20, untoldMs: { head: 200, rest: 200 } });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close().closeAllConnections());
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const connection = open(url, `GET / ${version}\r\nHost: x\r\n\r\n`);
  connection.end();
  const response = await conditions.found(() => responses[0], "the request");
  return { connection, response, finish: (text: string) => void response.end(text) };
}

function streaming(response: ServerResponse): void {
  beatsBy(response, { beat: () => void response.write(".") });
}

describe.each(NAMES)("%s", (name) => {
  const saying = GENERATIONS[name];

  test("that is answered as soon as the client has closed its half", async () => {
    const { connection, call } = await halfClosed(saying);
    (await call()).text("it is done");
    await connection.closed();
    expect(connection.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    wantsDone(connection);
  });

  test("that is answered after the gateway has looked some times who still reads", async () => {
    const { connection, call } = await halfClosed(saying);
    await connection.until("HTTP");
    (await call()).text("it is done");
    await connection.closed();
    expect(connection.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    wantsDone(connection);
  });

  test("whose answer is a stream", async () => {
    const { connection, call } = await halfClosed(saying);
    const asked = await call();
    const stream = asked.sse();
    stream.event({
      jsonrpc: "2.0",
      method: "notifications/message",
      params: { level: "info", data: "said" },
    });
    // The gateway looks by comments who still reads.
    if (name === "a forwarded call") await connection.until(":\n\n\r\n3\r\n:\n\n");
    stream.event(asked.answer({ content: [{ type: "text", text: "it is done" }] }));
    stream.end();
    await connection.closed();
    expect(connection.received).toContain("HTTP/1.1 200 OK\r\n");
    wantsDone(connection);
  });

  test.for(["HTTP/1.1", "HTTP/1.0"])(
    "over %s of a client that has left: nobody goes on with it",
    async (version) => {
      const { connection, server, call } = await halfClosed({
        ...saying,
        version,
        accept: "application/json",
      });
      const asked = await call();
      connection.leave();
      await Promise.race([asked.closed, asked.cancelled]);
      await server.until(() => server.pending === 0, "the gateway lets go");
    },
  );

  test("of a client that leaves in the middle of a stream: nobody goes on with it", async () => {
    const { connection, call } = await halfClosed(saying);
    const asked = await call();
    const stream = asked.sse();
    stream.event({
      jsonrpc: "2.0",
      method: "notifications/message",
      params: { level: "info", data: "said" },
    });
    connection.leave();
    await Promise.race([asked.closed, asked.cancelled]);
  });

  test("over HTTP/1.0 that is answered soon", async () => {
    const { connection, call } = await halfClosed({
      ...saying,
      version: "HTTP/1.0",
      accept: "application/json",
    });
    (await call()).text("it is done");
    await connection.closed();
    wantsDone(connection);
    expect(connection.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });
});

describe("an answer that takes longer", () => {
  test("is preceded by the word that it is being processed, over HTTP/1.1", async () => {
    const { connection, finish } = await impatient(() => {});
    await connection.until("HTTP/1.1 102 Processing\r\n\r\nHTTP");
    finish("it is done");
    await connection.closed();
    expect(connection.received).toMatch(
      /^(?:HTTP\/1\.1 102 Processing\r\n\r\n)+HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nit is done$/,
    );
  });

  test("becomes a stream over HTTP/1.0, where it may", async () => {
    const { connection, finish } = await impatient(streaming, "HTTP/1.0");
    await connection.until("...");
    finish("it is done");
    await connection.closed();
    expect(connection.received).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n\.{3,}it is done$/);
  });

  test("is given up over HTTP/1.0, where it may not", async () => {
    const { connection } = await impatient(() => {}, "HTTP/1.0");
    await connection.closed();
    expect(connection.received).toBe("HTTP/1.1 ");
  });

  test("of which nothing comes after its head, and into which nothing fits, is given up", async () => {
    const { connection } = await impatient((response) => void response.writeHead(200).flushHeaders());
    await connection.closed();
    expect(connection.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  test("is awaited by a client that leaves after all only until the next look", async () => {
    const { connection, response } = await impatient(() => {});
    await connection.until("HTTP/1.1 102 Processing");
    const closed = once(response, "close");
    connection.leave();
    await closed;
    expect(response.writableEnded).toBe(false);
  });
});

test("two requests before the sending half is closed are both answered", async () => {
  const message = { ...LIST, params: { _meta: ENVELOPE } };
  const lines = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/list"];
  const { url, server } = await served({ scripts: { "tools/list": () => {} } });
  const connection = open(
    url,
    post({ lines, message: { ...message, id: 5 } }) + post({ lines, message: { ...message, id: 6 } }),
  );
  connection.end();
  const answer = (asked: Exchange) => asked.json({ tools: [] });
  await connection.until("HTTP");
  answer(await server.arrival("tools/list", 1));
  answer(await server.arrival("tools/list", 2));
  await connection.closed();
  const answers = connection.received.match(/\{"jsonrpc".*?"id":\d/g)?.map((text) => text.at(-1));
  expect(answers).toEqual(["5", "6"]);
});

test("a request that breaks off is answered as one that cannot be read, and reaches nobody", async () => {
  const { url, server } = await served();
  const connection = open(url, post({ lines: LEGACY, message: CALL }).slice(0, -10));
  connection.end();
  await connection.closed();
  expect(connection.received).not.toContain(" 200 ");
  expect(server.received.filter(({ method }) => method === "tools/call")).toEqual([]);
});

test("a gateway that stops does not wait for a client that only reads", async () => {
  const { url, gateway, server } = await served({
    options: { stateless: true },
    scripts: { "tools/call": () => {} },
  });
  const connection = open(url, post(GENERATIONS["a forwarded call"]));
  connection.end();
  await server.arrival("tools/call");
  await connection.until("H");
  await gateway.close();
  await connection.closed();
});
