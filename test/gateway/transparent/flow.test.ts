/** Answers that are larger than anybody should hold. */

import { expect, test } from "vitest";
import { head, open } from "./clients.ts";
import { proxyFront } from "./fronts.ts";
import { startOrigin, startRawOrigin } from "./origins.ts";

const CHUNK = Buffer.alloc(65_536, "x");
/** Far above what the buffers of three connections hold. */
const CHUNKS = 1_024;

test.each([
  ["as they come", undefined],
  ["through a filter", { take: (chunk: Buffer) => chunk, finish: () => Buffer.from("end") }],
])(
  "a client that does not read stops the server, and gets everything when it reads: %s",
  async (_what, filter) => {
    let sent = 0;
    const origin = await startOrigin((_request, response) => {
      const fill = (): void => {
        while (sent < CHUNKS) {
          sent += 1;
          if (!response.write(CHUNK)) {
            response.once("drain", fill);
            origin.server.emit("full");
            return;
          }
        }
        response.end("done");
      };
      fill();
    });
    const front = await proxyFront(origin.url, { onHead: () => filter });
    const client = open(front.url, head("GET", "/", ["Connection: close"]));
    client.pause();
    await stalled(() => sent);
    expect(sent).toBeLessThan(CHUNKS);
    client.resume();
    await client.closed();
    expect(sent).toBe(CHUNKS);
    expect(client.received.length).toBeGreaterThan(CHUNK.length * CHUNKS);
    expect(client.received).toContain("done");
    await front.until(() => front.over === 1, "the exchange is over");
  },
);

test("a slow client of a server that breaks off gets what came until then", async () => {
  let taken = 0;
  const origin = await startOrigin((_request, response) => {
    for (let sent = 0; sent < CHUNKS; sent += 1) response.write(CHUNK);
    origin.server.once("break", () => response.socket?.destroy());
  });
  const front = await proxyFront(origin.url, {
    onHead: () => ({
      take: (chunk) => {
        taken += chunk.length;
        return chunk;
      },
      finish: () => Buffer.alloc(0),
    }),
  });
  const client = open(front.url, head("GET"));
  client.pause();
  await stalled(() => taken);
  origin.server.emit("break");
  await origin.until(() => origin.pending === 0, "the server has broken off");
  client.resume();
  await client.closed();
  expect(client.received.match(/x/g)?.length).toBe(taken);
});

test("a client that does not read and leaves takes the server's end along", async () => {
  const origin = await startOrigin((_request, response) => {
    const fill = (): void => {
      while (!response.destroyed && response.write(CHUNK));
      response.once("drain", fill);
    };
    fill();
  });
  const front = await proxyFront(origin.url);
  const client = open(front.url, head("GET"));
  await client.until("xxx");
  client.pause();
  client.leave();
  await origin.until(() => origin.pending === 0, "the server is let go");
  expect(front.rejections).toEqual([]);
});

test.each([
  ["its length said", `Content-Length: ${CHUNK.length * 128}\r\n`],
  ["its end the connection's", ""],
])("a body with %s reaches a slow client after the server has hung up", async (_what, line) => {
  const body = CHUNK.toString().repeat(128);
  const url = await startRawOrigin(`HTTP/1.1 200 OK\r\n${line}Connection: close\r\n\r\n${body}`);
  const front = await proxyFront(url);
  const client = open(front.url, head("GET", "/", ["Connection: close"]));
  await client.until("xxx");
  client.pause();
  await stalled(() => 1);
  client.resume();
  await client.closed();
  expect(client.received.match(/x/g)?.length).toBe(body.length);
  await front.until(() => front.over === 1, "the exchange is over");
});

/** Waits until a number has begun to grow and a thousand turns of the loop have not changed it. */
async function stalled(count: () => number): Promise<void> {
  for (let quiet = 0, last = 0; quiet < 1_000; quiet += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (count() !== last || last === 0) quiet = 0;
    last = count();
  }
}
