/** Event streams of servers that end, or break off, before the answer: the client is told, instead of waiting for its own time-out. */

import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { fronted } from "../../http/fronted.ts";
import { ask } from "./clients.ts";

const PROGRESS = 'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n';
const ANSWER = 'event: message\ndata: {"jsonrpc":"2.0","id":7,"result":{}}\n\n';

type How = "ends" | "is cut";

/** What the client gets of a stream with these bytes. */
async function streamed(method: string, bytes: string, how: How, headers: Record<string, string> = {}) {
  const { url } = await fronted({
    answer: ({ body }, response: ServerResponse) => {
      // The gateway asks for itself when it starts.
      if (!body.includes('"id":7')) return void response.writeHead(400).end();
      response.writeHead(200, { "Content-Type": "text/event-stream", ...headers });
      response.flushHeaders();
      const end = () => (how === "ends" ? response.end() : response.socket?.destroySoon());
      if (bytes === "") end();
      else response.write(bytes, end);
    },
  });
  const body = JSON.stringify({ jsonrpc: "2.0", id: 7, method, params: { name: "t" } });
  const type = { "content-type": "application/json", accept: "application/json, text/event-stream" };
  return ask(url, { method: "POST", path: "/mcp", headers: type, body });
}

/** The messages that a client reads in it. */
function messagesIn(stream: string): readonly { id?: unknown; error?: { code: number; message: string } }[] {
  return stream
    .split("\n\n")
    .filter((event) => !/^event: (?!message)/m.test(event) && event.includes("data: "))
    .map((event) => JSON.parse(event.slice(event.indexOf("data: ") + 6)));
}

describe.each(["tools/call", "initialize", "tools/list", "resources/read", "acme/do"])(
  "a stream for %s",
  (method) => {
    test.for<[how: How, bytes: string]>([
      ["ends", ""],
      ["is cut", ""],
      ["ends", PROGRESS],
      ["is cut", PROGRESS],
      ["ends", `${PROGRESS}${ANSWER.slice(0, 40)}`],
      ["is cut", `${PROGRESS}${ANSWER.slice(0, 40)}`],
      ["ends", ANSWER.slice(0, -1)],
      ["ends", ANSWER.replace('"id":7', '"id":8')],
      ["ends", ANSWER.replace('"id":7', '"id":null')],
      ["ends", `${PROGRESS}id:\ndata:\n\n`],
    ])("that %s after %j has an error at its end", async ([how, bytes]) => {
      const { status, body } = await streamed(method, bytes, how);
      expect(status).toBe(200);
      const messages = messagesIn(body.toString());
      expect(messages.at(-1)).toMatchObject({ id: 7, error: { code: -32603 } });
      expect(messages.filter(({ id, error }) => id === 7 && error !== undefined)).toHaveLength(1);
    });

    test.for<[how: How, bytes: string]>([
      ["ends", ANSWER],
      ["ends", ANSWER.replace('"id":7', '"id":"7"')],
      ["ends", `${ANSWER}${PROGRESS}`],
      ["ends", `id: 1\ndata:\n\n${PROGRESS}`],
    ])("that %s after %j is left as it is", async ([how, bytes]) => {
      const { body } = await streamed(method, bytes, how);
      expect(body.toString()).toBe(bytes);
    });
  },
);

test("a stream whose client can come back is cut where it was cut", async () => {
  await expect(streamed("tools/call", `id: 1\ndata:\n\n${PROGRESS}`, "is cut")).rejects.toThrow();
});

test("a stream that says how long it is has an error at its end as well", async () => {
  const { body } = await streamed("acme/do", PROGRESS, "ends", { "Content-Length": String(PROGRESS.length) });
  expect(messagesIn(body.toString()).at(-1)).toMatchObject({ id: 7, error: { code: -32603 } });
});

test("every request of a batch is told", async () => {
  const { url } = await fronted({
    answer: (_request, response) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.end('data: [{"jsonrpc":"2.0","id":2,"result":{}}]\n\n');
    },
  });
  const batch = [1, 2, 3].map((id) => ({ jsonrpc: "2.0", id, method: "ping" }));
  const { body } = await ask(url, { method: "POST", path: "/mcp", body: JSON.stringify(batch) });
  expect(
    messagesIn(body.toString())
      .slice(1)
      .map(({ id }) => id),
  ).toEqual([1, 3]);
});

test("streams say to proxies and caches what the server leaves open, and nothing else does", async () => {
  const said = async (headers: Record<string, string>, bytes = ANSWER) => {
    const answer = await streamed("acme/do", bytes, "ends", headers);
    return [answer.headers["x-accel-buffering"], answer.headers["cache-control"]];
  };
  expect(await said({})).toEqual(["no", "no-cache"]);
  expect(await said({ "x-accel-buffering": "yes" })).toEqual(["yes", "no-cache"]);
  expect(await said({ "CACHE-CONTROL": "private" })).toEqual(["no", "private"]);
  expect(await said({ "Content-Type": "application/json" }, "{}")).toEqual([undefined, undefined]);
});
