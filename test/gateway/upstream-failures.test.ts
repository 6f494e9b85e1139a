import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import { type Script, startScriptedServer } from "../support/scripted-server.ts";
import { count, story, textOf, textResult } from "../support/story.ts";

test("a server that is down is an error that says so, and found when it is up again", async () => {
  const nobody = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => nobody.once("listening", resolve));
  const { port } = nobody.address() as AddressInfo;
  await new Promise((resolve) => nobody.close(resolve));
  const { client, gateway } = await gatewayFor({ upstream: new URL(`http://127.0.0.1:${port}/mcp`) });
  expect(gateway.routes[0]?.description).toMatch(/^unreachable: .*ECONNREFUSED.*will retry$/);

  const user = client();
  for (const [method, params] of [
    ["tools/call", { name: "t" }],
    ["tools/list", {}],
    ["server/discover", {}],
    ["prompts/get", { name: "p" }],
  ] as const) {
    const { status, message } = await user.send(method, params);
    expect({ status, ...message.error }).toEqual({
      status: 200,
      code: -32603,
      message: "The server cannot be reached (ECONNREFUSED)",
    });
  }
});

test("what a server refuses with stays on the line that is printed of it", async () => {
  const server = createServer((_request, response) => {
    response.writeHead(500, { "content-type": "text/plain" }).end("\u001b[2Jgone\nreports  http://elsewhere");
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { gateway } = await gatewayFor({ upstream: new URL(`http://127.0.0.1:${port}/mcp`) });
  expect(gateway.routes[0]?.description).toBe(
    "unreachable: The server answered HTTP 500:  [2Jgone reports  http://elsewhere, will retry",
  );
});

test("an answer in an event of another name ends the call at once, though the stream stays open", async () => {
  const { user } = await story(
    {
      "tools/call": (call) =>
        void call
          .sse()
          .event("only text", { event: "log" })
          .event({ level: "info" }, { event: "log" })
          .event(call.answer(textResult("done")), { event: "result" }),
    },
    { policy: { mode: "never" } },
  );
  const { message } = await user.send("tools/call", { name: "t" });
  expect(message.error.message).toBe(
    'The server\'s answer cannot be used: it came in an event called "result", expected "message"',
  );
});

const ANSWERS: [string, Script, { status?: number; message: RegExp }][] = [
  ["HTML", (call) => call.reply(200, "<html>hello</html>"), { message: /no JSON/ }],
  ["HTML with 404", (call) => call.reply(404, "<html>nope</html>"), { message: /HTTP 404: an HTML page/ }],
  [
    "500 as text",
    (call) => call.reply(500, "broken", { "content-type": "text/plain" }),
    { message: /HTTP 500: broken/ },
  ],
  [
    "500 as JSON-RPC",
    (call) => call.error(-32000, "too bad", { status: 500 }),
    { message: /HTTP 500: too bad/ },
  ],
  [
    "a redirect to elsewhere",
    (call) => call.reply(307, "", { location: "http://x.example/" }),
    { message: /redirect/i },
  ],
  ["403", (call) => call.reply(403, { error: "no" }), { status: 403, message: /HTTP 403/ }],
  ["202 and nothing else", (call) => call.accept(), { message: /opened no stream to answer it/ }],
  ["204", (call) => void call.response.writeHead(204).end(), { message: /no JSON/ }],
  [
    "JSON that is no message",
    (call) => call.reply(200, { hello: 1 }),
    { message: /cannot be used: it is no JSON-RPC message/ },
  ],
  [
    "broken JSON",
    (call) => call.reply(200, "{", { "content-type": "application/json" }),
    { message: /cannot be used: it is not JSON$/ },
  ],
  [
    "an answer to somebody else",
    (call) => call.reply(200, { jsonrpc: "2.0", id: 999, result: {} }),
    { message: /cannot be used: its id is 999, expected \d+$/ },
  ],
  ["nothing, and hangs up", (call) => call.cut(), { message: /connection to the server broke/ }],
  ["a stream that ends", (call) => call.sse().end(), { message: /closed the stream without an answer/ }],
  [
    "a stream that is cut",
    (call) => call.sse().raw(": hi\n\n").cut(),
    { message: /closed the stream without an answer/ },
  ],
];

test.each(ANSWERS)(
  "a server that answers %s gives a clear error, at once and as a task",
  async (_, script, expected) => {
    // No GET stream, so that nothing can come on it.
    const scripts = { "tools/call": script, GET: ((get) => get.reply(405, {})) as Script };
    const { user, server } = await story(scripts, { tools: [{ match: "task", mode: "always" }] });
    const direct = await user.send("tools/call", { name: "direct" });
    expect(direct.status).toBe(expected.status ?? 200);
    expect(direct.message.error.code).toBe(-32603);
    expect(direct.message.error.message).toMatch(expected.message);

    const { taskId } = await user.callTool("task");
    const task = await user.settled(taskId);
    expect(task).toMatchObject({ status: "failed", error: { code: -32603 } });
    expect(task.error.message).toMatch(expected.message);
    expect(task.statusMessage).toBe(task.error.message);
    expect(count(server, "tools/call")).toBe(2);
  },
);

test("a server's wish for credentials reaches the client as it is", async () => {
  const challenge = 'Bearer resource_metadata="https://x.example/.well-known/oauth-protected-resource"';
  const { user } = await story({
    initialize: (call) => call.reply(401, { error: "who?" }, { "www-authenticate": challenge }),
  });
  for (const [method, params] of [
    ["tools/call", { name: "t" }],
    ["tools/list", {}],
    ["server/discover", {}],
    ["subscriptions/listen", { notifications: { toolsListChanged: true } }],
  ] as const) {
    const { status, headers } = await user.send(method, params);
    expect([method, status, headers["www-authenticate"]]).toEqual([method, 401, challenge]);
  }
});

const GARBAGE = [
  "data: no JSON\n\n",
  'data: {"not":"a message"}\n\n',
  "data: []\n\n",
  "data\n\n",
  'data: {"jsonrpc":"2.0","method":7}\n\n',
  'event: odd\ndata: {"jsonrpc":"2.0","id":3,"result":{}}\n\n',
  ": a comment\n\n",
  "nonsense\n\n",
];

test.each(GARBAGE)(
  "garbage among good events does no harm, before, beside and after the answer: %j",
  async (garbage) => {
    let calls = 0;
    const { user } = await story({
      "tools/call": async (call) => {
        calls += 1;
        const stream = call.sse();
        const answer = `data: ${JSON.stringify(call.answer(textResult("fine")))}\n\n`;
        const pieces = [[garbage, answer], [garbage + answer], [answer + garbage]][calls - 1] ?? [];
        for (const piece of pieces) {
          stream.raw(piece);
          // Long enough for it to be read by itself.
          await user.result("tools/list");
        }
        stream.event(call.answer(textResult("twice"))).end();
      },
    });
    for (let n = 0; n < 3; n += 1) expect(textOf(await user.callTool("t"))).toBe("fine");
  },
);

test("an answer to another request ends the call on whose stream it comes, and does no harm behind the answer", async () => {
  const stray = { jsonrpc: "2.0", id: 4711, result: {} };
  let calls = 0;
  const { user } = await story({
    "tools/call": (call) => {
      calls += 1;
      const events = calls === 1 ? [call.answer(textResult("fine")), stray] : [stray];
      const stream = call.sse();
      for (const event of events) stream.event(event);
    },
  });
  expect(textOf(await user.callTool("t"))).toBe("fine");
  const { message } = await user.send("tools/call", { name: "t" });
  expect(message.error.message).toMatch(/cannot be used: its id is 4711, expected \d+$/);
});

test("an answer that comes twice, the second time on the GET stream, counts once", async () => {
  const told = await story({
    "tools/call": async (call) => {
      const get = await told.server.stream(call.session);
      call.text("first");
      get.event(call.answer(textResult("second")));
    },
  });
  expect(textOf(await told.user.callTool("t"))).toBe("first");
  expect(textOf(await told.user.callTool("t"))).toBe("first");
});

test("what a server says after a cancellation changes nothing", async () => {
  const { user, server } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        await call.cancelled;
        stream.event(call.answer(textResult("after all"))).end();
      },
    },
    { policy: { mode: "always" } },
  );
  const { taskId } = await user.callTool("t");
  const call = await server.arrival("tools/call");
  await user.result("tasks/cancel", { taskId });
  await call.closed;
  expect(await user.task(taskId)).toMatchObject({ status: "cancelled" });
});

test("an error that the server answers with a status of its own is the client's answer, code and all", async ({
  onTestFinished,
}) => {
  const server = await startScriptedServer({
    "tools/call": (call) => call.error(-32602, "no such tool", { status: 400 }),
  });
  onTestFinished(() => server.close());
  const { client } = await gatewayFor({ upstream: server.url });

  const { status, message } = await client().send("tools/call", { name: "missing", arguments: {} });
  expect({ status, error: message.error }).toEqual({
    status: 200,
    error: { code: -32602, message: "no such tool" },
  });
  expect(server.received.filter(({ method }) => method === "tools/call")).toHaveLength(1);
});

test("a server that wants a login is asked once for a call, and its challenge is the answer", async () => {
  const challenge = 'Bearer resource_metadata="https://reports.example/.well-known/oauth-protected-resource"';
  const asked: unknown[] = [];
  const server = createServer((request, response) => {
    asked.push(request.headers.authorization);
    request.resume();
    response.writeHead(401, { "www-authenticate": challenge }).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const upstream = new URL(`http://127.0.0.1:${port}/mcp`);
  const { client } = await gatewayFor({ upstream, forwardHeaders: ["authorization"] });
  const user = client({ headers: { authorization: "Bearer expired" } });
  const { status, headers } = await user.send("tools/call", { name: "t", arguments: {} });
  expect([status, headers["www-authenticate"]]).toEqual([401, challenge]);
  // The gateway itself, when it started, and the caller.
  expect(asked).toEqual([undefined, "Bearer expired"]);
});
