/** What may stand between the server's bytes and the client. */

import { expect, test } from "vitest";
import type { AnswerHead, Filter } from "../../../src/proxy/reverse-proxy.ts";
import { ask, head, open } from "./clients.ts";
import { proxyFront } from "./fronts.ts";
import { startOrigin, startRawOrigin } from "./origins.ts";

const TAGGED = [
  "HTTP/1.1 200 OK",
  "Content-Type: application/json",
  'ETag: "1"',
  "Content-MD5: x",
  "Mcp-Session-Id: s",
  "Content-Length: 4",
  "",
  "abcd",
].join("\r\n");

const louder: Filter = {
  take: (chunk) => Buffer.from(chunk.toString().toUpperCase()),
  finish: () => Buffer.from("!"),
};

test("a filter changes the body, which loses its length and its tags", async () => {
  const heads: AnswerHead[] = [];
  const front = await proxyFront(await startRawOrigin(TAGGED), {
    onHead: (answer) => {
      heads.push(answer);
      return louder;
    },
  });
  const { body, headers } = await ask(front.url);
  expect(body.toString()).toBe("ABCD!");
  expect(headers).toMatchObject({ "content-type": "application/json", "mcp-session-id": "s" });
  for (const name of ["content-length", "etag", "content-md5"]) expect(headers).not.toHaveProperty(name);
  expect(heads).toMatchObject([{ status: 200, headers: { "mcp-session-id": "s", "content-length": "4" } }]);
});

test("without a filter the bytes and what is said of them go as they come", async () => {
  const front = await proxyFront(await startRawOrigin(TAGGED), { onHead: () => undefined });
  const { body, headers } = await ask(front.url);
  expect(body.toString()).toBe("abcd");
  expect(headers).toMatchObject({ "content-length": "4", etag: '"1"', "content-md5": "x" });
});

test("a filter may keep everything back until the end", async () => {
  const kept: Buffer[] = [];
  const front = await proxyFront(await startRawOrigin(TAGGED), {
    onHead: () => ({
      take: (chunk) => {
        kept.push(chunk);
        return Buffer.alloc(0);
      },
      finish: () => Buffer.concat(kept),
    }),
  });
  expect((await ask(front.url)).body.toString()).toBe("abcd");
});

test("an answer that is cut off is not finished", async () => {
  const front = await proxyFront(await startRawOrigin(TAGGED.replace("Length: 4", "Length: 5")), {
    onHead: () => louder,
  });
  const client = open(front.url, head("GET"));
  await client.closed();
  expect(client.received).toContain("ABCD");
  expect(client.received).not.toContain("!");
});

test("a filter stands in a stream too, event by event", async () => {
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" }).write("data: one\n\n");
    origin.server.once("more", () => response.end("data: two\n\n"));
  });
  const front = await proxyFront(origin.url, { onHead: () => louder });
  const client = open(front.url, head("GET", "/", ["Connection: close"]));
  await client.until("DATA: ONE\n\n");
  origin.server.emit("more");
  await client.until("DATA: TWO\n\n");
  await client.closed();
  expect(client.received).toContain("!\r\n0\r\n\r\n");
});

test("an answer that is refused at its head is the caller's to answer", async () => {
  const refusal = new Error("not this one");
  const origin = await startOrigin((_request, response) => void response.write("for ever"));
  const front = await proxyFront(origin.url, {
    onHead: () => {
      throw refusal;
    },
  });
  expect((await ask(front.url)).status).toBe(502);
  expect(front.rejections).toEqual([refusal]);
  await origin.until(() => origin.pending === 0, "the server is let go");
});

test.each(["take", "finish"] as const)(
  "a filter that throws in %s cuts both sides, and is told of",
  async (where) => {
    const fault = new Error("a fault");
    const origin = await startOrigin((_request, response) => {
      response.write("abcd");
      if (where === "finish") response.end();
    });
    const front = await proxyFront(origin.url, {
      onHead: () => ({
        ...louder,
        [where]: () => {
          throw fault;
        },
      }),
    });
    const client = open(front.url, head("GET"));
    await client.closed();
    await front.until(() => front.rejections.length === 1, "the rejection");
    expect(front.rejections).toEqual([fault]);
    expect(client.received).not.toContain("\r\n0\r\n");
    await origin.until(() => origin.pending === 0, "the server is let go");
  },
);
