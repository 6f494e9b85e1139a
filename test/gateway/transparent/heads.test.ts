/** Heads of answers: when they come, and what is in them. */

import { expect, test } from "vitest";
import { ask, head, open } from "./clients.ts";
import { bareFront, proxyFront } from "./fronts.ts";
import { startOrigin, startRawOrigin } from "./origins.ts";

const ODD = [
  "HTTP/1.1 200 Odd Enough",
  "X-Case: 1",
  "Set-Cookie: a=1",
  "x-Other: 2",
  "Set-Cookie: b=2",
  "X-Case: 3",
  "Connection: X-Hop",
  "X-Hop: here",
  "Keep-Alive: timeout=77",
  "Proxy-Authenticate: Basic",
  "Content-Length: 2",
  "",
  "hi",
].join("\r\n");

test("bare: the reason phrase and what belongs to the connection are passed on, case and duplicates are not", async () => {
  const front = await bareFront(await startRawOrigin(ODD));
  const { reason, rawHeaders } = await ask(front.url);
  expect(reason).toBe("Odd Enough");
  expect(rawHeaders).toContain("x-hop");
  expect(rawHeaders).toContain("timeout=77");
  expect(rawHeaders).toContain("proxy-authenticate");
  expect(rawHeaders).not.toContain("X-Case");
  expect(rawHeaders).toContain("1, 3");
});

test("the proxy: headers come as the server sent them, without what belongs to its connection", async () => {
  const front = await proxyFront(await startRawOrigin(ODD));
  const { reason, rawHeaders } = await ask(front.url);
  expect(reason).toBe("OK");
  const ours = ["Date", "Connection", "Keep-Alive"];
  expect(pairs(rawHeaders).filter(([name]) => !ours.includes(name))).toEqual([
    ["X-Case", "1"],
    ["Set-Cookie", "a=1"],
    ["x-Other", "2"],
    ["Set-Cookie", "b=2"],
    ["X-Case", "3"],
    ["Content-Length", "2"],
  ]);
  expect(rawHeaders).not.toContain("timeout=77");
});

test("the proxy: what is set already stays where the server says nothing of it", async () => {
  const front = await proxyFront(
    await startRawOrigin(ODD),
    {},
    {
      before: (_request, response) => {
        response.setHeader("Access-Control-Allow-Origin", "https://ours.example");
        response.setHeader("x-case", "ours");
        response.setHeader("Set-Cookie", "ours");
      },
    },
  );
  const { headers, rawHeaders } = await ask(front.url);
  expect(headers["access-control-allow-origin"]).toBe("https://ours.example");
  expect(headers["set-cookie"]).toEqual(["a=1", "b=2"]);
  expect(pairs(rawHeaders).filter(([name]) => name === "X-Case")).toEqual([
    ["X-Case", "1"],
    ["X-Case", "3"],
  ]);
});

test("bare: the head of an event stream waits for the first event", async () => {
  const origin = await startOrigin((request, response) => {
    if (request.url === "/next") return void response.end();
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    origin.server.once("event", () => response.write("data: 1\n\n"));
  });
  const front = await bareFront(origin.url);
  const client = open(front.url, head("GET"));
  await origin.until(() => origin.received.length === 1, "the stream");
  await ask(front.url, { path: "/next" });
  expect(client.received).toBe("");
  origin.server.emit("event");
  await client.until("data: 1");
});

test("the proxy: the head of an event stream does not wait", async () => {
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { "Content-Type": "Text/Event-Stream; charset=utf-8" });
    response.flushHeaders();
  });
  const front = await proxyFront(origin.url);
  await open(front.url, head("GET")).until("Content-Type: Text/Event-Stream; charset=utf-8\r\n");
});

const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";

test("bare: an answer that switches protocols leaves the client waiting", async () => {
  const front = await bareFront(await startRawOrigin(SWITCHING));
  const client = open(front.url, head("GET"));
  const another = open(front.url, head("GET"));
  await front.until(() => front.pending === 2, "both are with the proxy");
  await ask((await bareFront(await startRawOrigin("HTTP/1.1 204 None\r\n\r\n"))).url);
  expect([client.received, another.received, front.pending]).toEqual(["", "", 2]);
});

test.each([
  ["switches protocols", SWITCHING],
  ["switches them without saying to what", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
])("the proxy: an answer that %s is no answer", async (_what, answer) => {
  const front = await proxyFront(await startRawOrigin(answer, { hangsUp: false }));
  expect((await ask(front.url)).status).toBe(502);
  expect(front.rejections).toMatchObject([{ facts: { mayHaveRun: true } }]);
});

test("the proxy: what comes before the answer is no answer", async () => {
  const before = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  const front = await proxyFront(
    await startRawOrigin(`${before}HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n`),
  );
  const { status, headers } = await ask(front.url);
  expect(status).toBe(201);
  expect(headers.link).toBeUndefined();
});

test.each([
  ["HEAD", 200, "Content-Length: 12"],
  ["GET", 204, "X-Nothing: here"],
  ["GET", 304, 'ETag: "1"'],
])(
  "the proxy: an answer to %s with %i has a head alone, and the connection goes on",
  async (method, status, line) => {
    const front = await proxyFront(await startRawOrigin(`HTTP/1.1 ${status} Odd\r\n${line}\r\n\r\n`));
    const client = open(front.url, head(method));
    await client.until("\r\n\r\n");
    client.send(head(method, "/", ["Connection: close"]));
    await client.closed();
    const heads = client.received.split("\r\n\r\n");
    expect(heads.map((each) => each.split("\r\n")[1])).toEqual([line, line, undefined]);
    expect(heads[2]).toBe("");
  },
);

test("the proxy: a head that has gone out is not sent again", async () => {
  const front = await proxyFront(
    await startRawOrigin("HTTP/1.1 404 Gone\r\nX-Late: yes\r\nContent-Length: 2\r\n\r\nhi"),
    {
      onHead: ({ status }) => ({
        take: (chunk) => Buffer.from(`${status} ${chunk}`),
        finish: () => Buffer.from("!"),
      }),
    },
    { before: (_request, response) => void response.writeHead(200, { "X-Early": "yes" }).write("early ") },
  );
  const { status, headers, body } = await ask(front.url);
  expect([status, headers["x-early"], headers["x-late"]]).toEqual([200, "yes", undefined]);
  expect(body.toString()).toBe("early 404 hi!");
});

test("the proxy: a server without an answer leaves a head that has gone out to the caller", async () => {
  const front = await proxyFront(
    await startRawOrigin(""),
    {},
    { before: (_request, response) => void response.writeHead(200).write("early") },
  );
  expect((await ask(front.url)).body.toString()).toBe("early");
  expect(front.rejections.length).toBe(1);
});

function pairs(raw: readonly string[]): [string, string][] {
  return raw.flatMap((name, at) =>
    at % 2 === 0 ? [[name, raw[at + 1] ?? ""] satisfies [string, string]] : [],
  );
}
