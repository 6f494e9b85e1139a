/** Sessions with servers of 2024-11-05, whose one stream answers everything. */

import { expect, onTestFinished, test, vi } from "vitest";
import { answering, type SseScript } from "../support/sse-server.ts";
import { count } from "../support/story.ts";
import { openSession, serverWith, wireTo } from "./sse-session.ts";

const textOf = (text: string) => ({ content: [{ type: "text", text }] });

test("a call and its progress, on one stream", async () => {
  const server = await serverWith({
    "tools/call": (call, stream) => {
      const { _meta: meta } = call.message.params as { _meta: { progressToken: number } };
      call.accept();
      for (const progress of [1, 2]) stream.notify("notifications/progress", { ...meta, progress, total: 2 });
      stream.event(call.answer(textOf("done")));
    },
  });
  const { session } = await openSession(server.url);
  const progress: number[] = [];
  const { id, response } = session.request(
    "tools/call",
    { name: "t" },
    { onProgress: (p) => progress.push(p.progress) },
  );

  expect(await response).toMatchObject({ id, result: textOf("done") });
  expect(progress).toEqual([1, 2]);
  expect(session.server).toMatchObject({ protocolVersion: "2024-11-05", serverInfo: { name: "scripted" } });
  expect(server.received.map(({ method }) => method)).toEqual([
    "GET",
    "initialize",
    "notifications/initialized",
    "tools/call",
  ]);
});

test("answers find their requests in whatever order they come", async () => {
  const waiting: (() => void)[] = [];
  const server = await serverWith({
    "tools/call": (call, stream) => {
      call.accept();
      waiting.push(() => stream.event(call.answer(textOf(String(call.message.params?.name)))));
      if (waiting.length === 3) for (const answer of waiting.reverse()) answer();
    },
  });
  const { session } = await openSession(server.url);
  const names = ["first", "second", "third"];
  const calls = names.map((name) => session.request("tools/call", { name }).response);

  expect(await Promise.all(calls)).toMatchObject(names.map((name) => ({ result: textOf(name) })));
});

test("fifty requests at once are nothing to warn of", async () => {
  const server = await serverWith();
  const { session } = await openSession(server.url);
  const warn = vi.spyOn(process, "emitWarning");
  onTestFinished(() => void vi.restoreAllMocks());
  const pings = Array.from({ length: 50 }, () => session.request("ping", undefined).response);

  expect(await Promise.all(pings)).toHaveLength(50);
  expect(warn).not.toHaveBeenCalled();
});

test("the user is asked and the model is sampled, and the server hears what they say", async () => {
  const server = await serverWith({
    "tools/call": async (call, stream) => {
      call.accept();
      const name = await stream.ask("elicitation/create", { message: "Who?" }, 0);
      const said = await stream.ask("sampling/createMessage", { messages: [] });
      stream.event(call.answer({ content: [], structuredContent: { name, said } }));
    },
  });
  const answers = {
    "elicitation/create": { action: "accept", content: { name: "Ada" } },
    "sampling/createMessage": { role: "assistant", model: "m", content: { type: "text", text: "hi" } },
  };
  const { session, heard } = await openSession(server.url, { answers });

  expect(await session.request("tools/call", { name: "t" }).response).toMatchObject({
    result: {
      structuredContent: {
        name: { id: 0, result: answers["elicitation/create"] },
        said: { result: answers["sampling/createMessage"] },
      },
    },
  });
  expect(heard.map((message) => "method" in message && message.method)).toEqual(Object.keys(answers));
});

test("a call is cancelled, and the server may still answer", async () => {
  const server = await serverWith({
    "tools/call": async (call, stream) => {
      call.accept();
      stream.event(call.answer(textOf(`cancelled: ${await call.cancelled}`)));
    },
  });
  const { session } = await openSession(server.url);
  const call = session.request("tools/call", { name: "t" });
  await server.arrival("tools/call");
  call.cancel("enough");

  expect(await call.response).toMatchObject({ result: textOf("cancelled: enough") });
});

test("two sessions do not see each other's questions", async () => {
  const asks: SseScript = async (call, stream) => {
    call.accept();
    const answer = await stream.ask("elicitation/create", { message: String(call.message.params?.name) }, 0);
    stream.event(call.answer({ answer }));
  };
  const server = await serverWith({ "tools/call": asks });
  const people = await Promise.all(
    ["Ada", "Bob"].map(async (name) => {
      const content = { name };
      const opened = await openSession(server.url, { answers: { "elicitation/create": { content } } });
      return { ...opened, name };
    }),
  );
  const results = await Promise.all(
    people.map(({ session, name }) => session.request("tools/call", { name }).response),
  );

  for (const [at, { name, heard }] of people.entries()) {
    expect(results[at]).toMatchObject({ result: { answer: { result: { content: { name } } } } });
    expect(heard).toMatchObject([{ params: { message: name } }]);
  }
  expect([server.sessions.size, count(server, "GET")]).toEqual([2, 2]);
});

test("the headers of the configuration and of the caller go with the stream and with every message", async () => {
  const server = await serverWith({ "tools/call": answering(textOf("fine")) });
  const headers = { authorization: "Bearer secret", "x-tenant": "a" };
  const { session } = await openSession(server.url, { headers });
  await session.request("tools/call", { name: "t" }).response;

  expect(server.received).toHaveLength(4);
  for (const received of server.received) {
    expect(received.headers).toMatchObject({ ...headers, host: server.url.host });
  }
  expect(server.received[0]?.headers.accept).toBe("text/event-stream");
});

test("an endpoint is found where it is named: relative to the stream, and after a redirection of the server's own", async () => {
  const server = await serverWith(
    {},
    {
      greet: (visit) => {
        if (visit.request.url === "/sse") return visit.reply(307, "", { location: "/base/sse" });
        visit.session.stream = visit
          .sse()
          .event(`base/in?session=${visit.session.id}`, { event: "endpoint" });
      },
    },
  );
  const { session } = await openSession(server.url);

  expect(await session.request("ping", undefined).response).toMatchObject({ result: {} });
  expect(server.received.at(-1)?.request.url).toMatch(/^\/base\/in\?session=/);
});

test("a message of eight million characters arrives whole, cut through its characters", async () => {
  const text = "é✓𝄞x".repeat(1_600_000);
  const server = await serverWith({ "tools/call": answering(textOf(text)) });
  const { session } = await openSession(server.url, { maxMessageBytes: 33_554_432 });

  const { id, response } = session.request("tools/call", { name: "t" });
  expect(JSON.stringify(await response)).toBe(JSON.stringify({ jsonrpc: "2.0", id, result: textOf(text) }));
});

test("what is no message is reported, and the session goes on", async () => {
  const server = await serverWith({
    "tools/call": (call, stream) => {
      call.accept();
      stream.raw(": a comment\n\n").event("not JSON").event({ not: "a message" });
      stream.event({ jsonrpc: "2.0", method: "ping", id: 7 }, { event: "gossip" });
      stream.event(call.answer(textOf("fine")));
    },
  });
  const { session, garbage, heard } = await openSession(server.url);

  expect(await session.request("tools/call", { name: "t" }).response).toMatchObject({
    result: textOf("fine"),
  });
  expect(garbage.map(({ message }) => message)).toEqual([
    'expected a JSON-RPC message as an event, got "not JSON"',
    'expected a JSON-RPC message as an event, got "{\\"not\\":\\"a message\\"}"',
  ]);
  expect(heard).toEqual([]);
});

test("a request is accepted when the server has acknowledged it", async () => {
  const server = await serverWith({
    "tools/call": async (call, stream) => {
      call.accept();
      await server.arrival("notifications/go");
      stream.event(call.answer(textOf("done")));
    },
  });
  const { session } = await openSession(server.url);
  const onAccepted = () => session.notify("notifications/go");

  const { response } = session.request("tools/call", { name: "t" }, { onAccepted });
  expect(await response).toMatchObject({ result: textOf("done") });
});

test("an acknowledgement that comes after the answer is of no interest", async () => {
  const server = await serverWith({
    "tools/call": async (call, stream) => {
      stream.event(call.answer(textOf("done")));
      await server.arrival("ping");
      call.accept();
    },
  });
  const { session } = await openSession(server.url);
  const events: string[] = [];
  const { response } = session.request(
    "tools/call",
    { name: "t" },
    { onAccepted: () => events.push("accepted") },
  );
  expect(await response).toMatchObject({ result: textOf("done") });

  for (const _ of [1, 2]) await session.request("ping", undefined).response;
  expect((await server.arrival("tools/call")).response.writableFinished).toBe(true);
  expect(events).toEqual([]);
});

test("a request is over when nobody listens any longer, and the session goes on", async () => {
  const server = await serverWith({ "tools/call": (call) => call.accept() });
  const wire = wireTo(server.url);
  const asking = wire.ask({ jsonrpc: "2.0", id: 1, method: "tools/call" });
  await server.arrival("tools/call");
  asking.stop();

  expect(await asking.ended).toBeUndefined();
  await wire.tell({ jsonrpc: "2.0", method: "notifications/still-here" });
  expect(server.sessions.size).toBe(1);
});

test("a session that is closed closes its stream, and can be closed before it was opened", async () => {
  const server = await serverWith();
  const { session } = await openSession(server.url);
  expect(server.sessions.size).toBe(1);
  await session.close();
  await server.until(() => server.sessions.size === 0, "the stream to be closed");
  await session.close();

  const wire = wireTo(server.url);
  await wire.close();
  await expect(wire.tell({ jsonrpc: "2.0", method: "m" })).rejects.toThrow(
    "The session with the server was closed",
  );
  expect(count(server, "GET")).toBe(1);
});
