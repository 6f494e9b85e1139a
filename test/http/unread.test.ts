/** Answers that are given while the request is still coming. */

import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { endUnread } from "../../src/http/unread.ts";
import { fronted } from "./fronted.ts";

const SIZE = 8_000_000;
const FRAMINGS = {
  "with its length": [`Content-Length: ${SIZE}`, "x".repeat(SIZE)],
  "in chunks": ["Transfer-Encoding: chunked", `${SIZE.toString(16)}\r\n${"x".repeat(SIZE)}\r\n0\r\n\r\n`],
} as const;

test.for(
  Object.keys(FRAMINGS).flatMap((framing) =>
    ["/mcp", "/elsewhere"].flatMap((path) =>
      ["2025-11-25", "2026-07-28"].map(
        (version) => [framing as keyof typeof FRAMINGS, path, version] as const,
      ),
    ),
  ),
)(
  "a client that sends all before it reads learns that it was too much: %s to %s, as of %s",
  async ([framing, path, version]) => {
    const { url, reached } = await fronted({ limits: { maxBodyBytes: 1_000 } });
    const [line, body] = FRAMINGS[framing];
    const head = [
      `POST ${path} HTTP/1.1`,
      "Host: 127.0.0.1",
      "Content-Type: application/json",
      `MCP-Protocol-Version: ${version}`,
    ];
    const socket = client(url);
    socket.pause();
    await sent(socket, `${head.join("\r\n")}\r\n${line}\r\n\r\n${body}`);
    const answer = await all(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toMatch(/The body is larger than 1000 bytes/);
    expect(reached()).toEqual([]);
  },
);

test("the connection is over as soon as there is no more of the request", async () => {
  const { url, accepted } = await refusing();
  const socket = client(url);
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
  await once(socket, "end");
  const [ours] = await accepted;
  expect(ours.destroyed).toBe(false);
  const closed = once(ours, "close");
  socket.write("0123456789");
  await closed;
});

test("a client that leaves in the middle is nobody's trouble", async () => {
  const { url, accepted } = await refusing();
  const socket = client(url);
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
  const [ours] = await accepted;
  const closed = new Promise((resolve) => ours.once("close", resolve));
  await once(socket, "end");
  socket.destroy();
  await closed;
});

test("a client that never comes to an end is not waited for without one", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { url, accepted } = await refusing();
  const socket = client(url);
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0");
  await once(socket, "end");
  const [ours] = await accepted;
  vi.advanceTimersByTime(9_999);
  expect(ours.destroyed).toBe(false);
  vi.advanceTimersByTime(1);
  expect(ours.destroyed).toBe(true);
});

test("a refusal waits for the answers before it", async () => {
  const { url } = await fronted({
    answer: (_request, response) => void setImmediate(() => response.end("page")),
  });
  const socket = client(url);
  const refused = "GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n";
  await sent(socket, `GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n${refused}`);
  expect((await all(socket)).match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 403"]);
});

/** A server that refuses everything before it has read it, and its end of the first connection. */
async function refusing(): Promise<{ readonly url: URL; readonly accepted: Promise<[Socket]> }> {
  const server = createServer((_request, response) => {
    response.writeHead(413, { "Content-Length": 2, Connection: "close" });
    endUnread(response, "no");
  });
  const accepted = once(server, "connection") as Promise<[Socket]>;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`), accepted };
}

/** Closes only when it is told to. */
function client(url: URL): Socket {
  const socket = connect({ port: Number(url.port), host: url.hostname, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  return socket.resume();
}

function sent(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

async function all(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
