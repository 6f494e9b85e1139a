import { expect, test } from "vitest";
import { VERSION } from "../../src/version.ts";
import { TASKS } from "../support/modern-client.ts";
import type { Script } from "../support/scripted-server.ts";
import { callSessions, count, gate, story, textOf, textResult } from "../support/story.ts";

const ECHO: Record<string, Script> = { "tools/call": (call) => call.text(String(call.message.params?.name)) };

test("sequential calls use one session, and it is opened for exactly what the caller declared", async () => {
  const { user, server } = await story(ECHO);
  for (const name of ["a", "b", "c", "d"]) expect(textOf(await user.callTool(name))).toBe(name);
  const sessions = callSessions(server);
  expect(new Set(sessions).size).toBe(1);
  const initialize = server.sessions.get(sessions[0])?.initialize;
  expect(initialize).toMatchObject({ protocolVersion: "2025-11-25" });
  expect(initialize?.capabilities).toEqual({
    elicitation: { form: {}, url: {} },
    sampling: { tools: {} },
    roots: {},
  });
});

test("a server is told of the client's program, by its own name and version, with the gateway's behind them", async () => {
  const { client, server } = await story(ECHO);
  const named = (clientInfo: object) => ({ meta: { "io.modelcontextprotocol/clientInfo": clientInfo } });
  const host = { name: "claude-code", version: "2.1.332" };
  const callAs = (clientInfo: object) => client().result("tools/call", { name: "a" }, named(clientInfo));
  await callAs(host);
  await callAs({ ...host, title: "Claude Code", icons: [] });
  await callAs(host);
  // One that a server could make nothing of.
  await callAs({ name: "x".repeat(1_000), version: "1" });
  const via = `(via mcp-taskgate ${VERSION})`;
  const told = callSessions(server).map((id) => server.sessions.get(id)?.initialize.clientInfo);
  expect(told).toEqual([
    { ...host, title: `claude-code ${via}` },
    { ...host, title: `Claude Code ${via}` },
    { ...host, title: `claude-code ${via}` },
    { name: "mcp-taskgate", version: VERSION },
  ]);
  expect(new Set(callSessions(server)).size).toBe(3);
});

test("what a caller does not declare is not declared to the server, and tasks never are", async () => {
  const { client, server } = await story(ECHO);
  await client({ capabilities: TASKS }).callTool("none");
  await client({ capabilities: { elicitation: {}, tasks: {} } }).callTool("some");
  const declared = callSessions(server).map((id) => server.sessions.get(id)?.initialize.capabilities);
  expect(declared).toEqual([{}, { elicitation: { form: {} } }]);
});

test("the stream that the server pushes on is open before a call is sent", async () => {
  const { user, server } = await story(ECHO);
  await user.callTool("a");
  const [session] = callSessions(server);
  const order = server.received.filter((one) => one.session.id === session).map(({ method }) => method);
  expect(order).toEqual(["initialize", "notifications/initialized", "GET", "tools/call"]);
});

test("parallel calls have a session each, and the next ones use them again", async () => {
  const all = gate();
  const { user, server } = await story({
    "tools/call": async (call) => {
      await all.opened;
      call.text("done");
    },
  });
  const calls = () => Promise.all([1, 2, 3].map(() => user.callTool("t")));
  const first = calls();
  await server.arrival("tools/call", 3);
  all.open();
  await first;
  expect(new Set(callSessions(server)).size).toBe(3);
  await calls();
  expect(new Set(callSessions(server)).size).toBe(3);
});

test("per-call opens a session for each call and ends it afterwards", async () => {
  const { user, server } = await story(ECHO, { sessions: "per-call" });
  await user.callTool("a");
  await user.callTool("b");
  expect(new Set(callSessions(server)).size).toBe(2);
  await server.arrival("DELETE", 2);
});

test("single runs one call at a time, on one session", async () => {
  const first = gate();
  const { user, server } = await story(
    {
      "tools/call": async (call) => {
        if (call.message.params?.name === "a") await first.opened;
        call.text("done");
      },
    },
    { sessions: "single" },
  );
  const a = user.callTool("a");
  await server.arrival("tools/call");
  const b = user.callTool("b");
  await user.result("tools/list");
  expect(count(server, "tools/call")).toBe(1);
  first.open();
  await Promise.all([a, b]);
  expect(new Set(callSessions(server)).size).toBe(1);
  expect(callSessions(server)).toHaveLength(2);
});

test("a stateless server that only answers JSON and has no streams works", async () => {
  const refuse: Script = (get) => get.reply(405, {});
  const { user, server } = await story({ ...ECHO, GET: refuse, DELETE: refuse }, {}, { stateless: true });
  expect(textOf(await user.callTool("a"))).toBe("a");
  expect(textOf(await user.callTool("b"))).toBe("b");
  expect(server.received.every(({ headers }) => headers["mcp-session-id"] === undefined)).toBe(true);
});

test.each(["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])(
  "a server of %s is spoken to in its own version",
  async (version) => {
    const { user, server, gateway } = await story(ECHO, {}, { protocolVersion: version });
    expect(gateway.routes[0]?.description).toBe(`legacy ${version}`);
    await user.callTool("a");
    expect((await server.arrival("tools/call")).headers["mcp-protocol-version"]).toBe(version);
  },
);

test("pings are answered, on the GET stream of a session in use and of an idle one", async () => {
  const { user, server } = await story({
    "tools/call": async (call) => {
      const pong = await (await server.stream(call.session)).ask("ping", undefined, 0);
      call.text(JSON.stringify(pong));
    },
  });
  expect(JSON.parse(textOf(await user.callTool("t")) ?? "")).toEqual({ jsonrpc: "2.0", id: 0, result: {} });
  const { session } = await server.arrival("tools/call");
  const stream = await server.stream(session);
  // Whose question it is nobody knows: another client may have been asked the same.
  void stream.ask("roots/list", undefined, "roots");
  expect(await stream.ask("ping")).toMatchObject({ result: {} });
  expect(server.received.filter(({ message }) => message.id === "roots")).toEqual([]);
});

test("roots that are asked for right after the handshake are the question of the call that opened the session", async () => {
  const roots: Promise<unknown>[] = [];
  const { client, server } = await story({
    GET: (get) => {
      get.session.stream = get.sse();
      roots.push(get.session.stream.ask("roots/list"));
    },
    "tools/call": async (call) => call.text(JSON.stringify(await roots.at(-1))),
  });
  const user = client({ capabilities: { roots: {} } });
  const { inputRequests, requestState } = await user.result("tools/call", { name: "t" });
  expect(inputRequests).toEqual({ "roots-1": { method: "roots/list" } });
  const inputResponses = { "roots-1": { roots: [{ uri: "file:///a" }] } };
  const result = await user.result("tools/call", { name: "t", requestState, inputResponses });
  expect(textOf(result)).toContain("file:///a");
  expect(count(server, "tools/call")).toBe(1);
});

test("headers of the configuration and of the caller are sent with everything", async () => {
  const { client, server } = await story(ECHO, {
    headers: { "x-api-key": "secret" },
    forwardHeaders: ["authorization", "x-api-key"],
  });
  const headers = { authorization: "Bearer ada", "x-api-key": "forged", "x-other": "no" };
  await client({ headers }).callTool("a");
  const { session } = await server.arrival("tools/call");
  const mine = server.received.filter((one) => one.session.id === session.id);
  expect(mine.map(({ method }) => method)).toEqual([
    "initialize",
    "notifications/initialized",
    "GET",
    "tools/call",
  ]);
  for (const { headers } of mine) {
    expect(headers).toMatchObject({
      "x-api-key": "secret",
      authorization: "Bearer ada",
      host: server.url.host,
    });
    expect(headers).not.toHaveProperty("x-other");
  }
});

test("two credentials never share a session, for calls or for lists", async () => {
  const { client, server } = await story(ECHO, { forwardHeaders: ["authorization"] });
  for (const who of ["ada", "eve", "ada", "eve", undefined]) {
    const user = client(who === undefined ? {} : { headers: { authorization: `Bearer ${who}` } });
    await user.callTool("t");
    await user.result("tools/list");
  }
  const seen = new Map<string | undefined, Set<string | undefined>>();
  // What is asked before there is a session has none, as the question of what the server speaks.
  for (const { session, headers } of server.received.filter(({ session: { id } }) => id !== undefined))
    seen.set(session.id, (seen.get(session.id) ?? new Set()).add(headers.authorization));
  expect([...seen.values()].filter((credentials) => credentials.size > 1)).toEqual([]);
  expect(new Set(callSessions(server)).size).toBe(3);
});

test("many calls over event streams need few connections", async () => {
  const { user, server } = await story({
    "tools/call": (call) => {
      const stream = call.sse();
      stream.notify("notifications/message", { level: "info", data: "…" });
      setImmediate(() => stream.event(call.answer(textResult("done"))).end());
    },
  });
  for (let n = 0; n < 20; n += 1) await user.callTool("t");
  expect(new Set(server.received.map(({ request }) => request.socket)).size).toBeLessThan(8);
});

test("single: whoever declares something else gets a session in place of the last one, never beside it", async () => {
  const sizes: number[] = [];
  const { server, client } = await story(
    {
      "tools/call": (call) => {
        sizes.push(server.sessions.size);
        call.json(textResult("done"));
      },
    },
    { sessions: "single" },
  );
  const plain = client({ capabilities: {} });
  const sampling = client({ capabilities: { sampling: {} } });

  await Promise.all([
    ...[plain, sampling, plain, sampling].map((user) => user.callTool("t")),
    plain.result("tools/list"),
    sampling.result("tools/list"),
  ]);
  expect(sizes).toEqual([1, 1, 1, 1]);
});

test("an answer with a status of its own is no lost session, so the call is sent once", async () => {
  const { server, user } = await story({ "tools/call": (call) => call.json(textResult("done")) });
  await user.callTool("t");
  server.on("tools/call", (call) => call.error(-32602, "not like this", { status: 400 }));

  const { message } = await user.send("tools/call", { name: "t", arguments: {} });
  expect(message.error).toEqual({ code: -32602, message: "not like this" });
  expect(count(server, "tools/call")).toBe(2);
});

test("however many different clients there are, the server is not made to keep a session for each", async () => {
  const { server, client } = await story(ECHO);
  for (let n = 0; n < 300; n += 1) {
    await client({ capabilities: { experimental: { [`client-${n}`]: {} } } }).callTool("t");
  }
  // Each of them needed two, one for the call and one for the list of tools; of either kind 256 are kept.
  await server.until(() => server.sessions.size <= 513, "the oldest sessions to be ended");
  expect(count(server, "initialize")).toBe(601);
});

test("single: a server that says of every session that it does not know it is asked twice, and no more", async () => {
  const { server, user } = await story(ECHO, { sessions: "single" });
  await user.callTool("t");
  server.on("tools/call", (call) => call.error(-32001, "Session not found", { status: 404 }));

  const { message } = await user.send("tools/call", { name: "t", arguments: {} });
  expect(message.error).toMatchObject({
    code: -32603,
    message: expect.stringContaining("Session not found"),
  });
  expect(count(server, "tools/call")).toBe(3);
});
