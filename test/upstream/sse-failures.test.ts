/** Servers of 2024-11-05 that misbehave: what the caller is told, and that nothing is left behind. */

import { expect, onTestFinished, test, vi } from "vitest";
import { answering, type SseScript, welcome } from "../support/sse-server.ts";
import { failureOf, openSession, serverWith, wireTo } from "./sse-session.ts";

const ENDS: Readonly<Record<string, SseScript>> = {
  "ends the stream": (call, stream) => {
    call.accept();
    stream.end();
  },
  "cuts the connection": (call, stream) => {
    call.accept();
    stream.cut();
  },
  "ends the stream before it acknowledges": (_, stream) => stream.end(),
};

test.each(Object.entries(ENDS))(
  "a server that %s fails every call in flight, and is not connected to again",
  async (_, script) => {
    const server = await serverWith(
      { "tools/call": script, "tools/list": (list) => list.accept() },
      { greet: (visit) => void welcome(visit).raw("retry: 0\n\n") },
    );
    const opened = await openSession(server.url);
    const requests = [
      opened.session.request("tools/list", undefined),
      opened.session.request("tools/call", { name: "t" }),
    ];

    for (const failure of await Promise.all(requests.map(({ response }) => failureOf(response)))) {
      expect(failure.message).toBe("The server closed its event stream in the middle of the call");
      expect(failure.facts.mayHaveRun).toBe(true);
    }
    expect([opened.losses, opened.session.isUsable]).toEqual([1, false]);
    const late = await failureOf(opened.session.request("ping", undefined).response);
    expect(late.facts.mayHaveRun).toBe(false);
    await server.until(() => server.pending === 0, "every request to be let go");

    const next = await openSession(server.url);
    expect(await next.session.request("ping", undefined).response).toMatchObject({ result: {} });
    expect(
      server.received
        .filter(({ method }) => method === "GET" || method === "ping")
        .map(({ method }) => method),
    ).toEqual(["GET", "GET", "ping"]);
  },
);

test("a server that says when to connect again is not connected to again", async () => {
  const retry = 1_000_000;
  const server = await serverWith({
    ping: (exchange, stream) => {
      exchange.accept();
      stream.raw(`retry: ${retry}\n\n`).end();
    },
  });
  const { session } = await openSession(server.url);
  const set = vi.spyOn(globalThis, "setTimeout");
  onTestFinished(() => void vi.restoreAllMocks());
  await failureOf(session.request("ping", undefined).response);

  expect(set.mock.calls.map(([, ms]) => ms)).not.toContain(retry);
});

test("an answer that was the last thing the server said counts", async () => {
  const server = await serverWith({
    "tools/call": (call, stream) => {
      call.accept();
      stream.event(call.answer({ content: [] })).end();
    },
  });
  const opened = await openSession(server.url);

  const { response } = opened.session.request("tools/call", { name: "t" });
  expect(await response).toMatchObject({ result: { content: [] } });
  await opened.lost;
});

test("an idle session whose stream ends is said to be lost", async () => {
  const server = await serverWith();
  const opened = await openSession(server.url);
  for (const { stream } of server.sessions.values()) stream?.end();

  await opened.lost;
  expect(opened.session.isUsable).toBe(false);
});

test("a stream that carries too large a message is given up with that reason", async () => {
  const server = await serverWith({ "tools/call": answering({ text: "x".repeat(300_000) }) });
  const opened = await openSession(server.url, { maxMessageBytes: 100_000 });
  const failure = await failureOf(opened.session.request("tools/call", { name: "t" }).response);

  expect(failure.message).toBe("The server's answer is larger than 100000 bytes");
  expect([failure.facts.mayHaveRun, opened.losses]).toEqual([true, 1]);
  await server.until(() => server.pending === 0, "the stream to be let go");
});

test.each([
  { status: 400, mayHaveRun: false },
  { status: 404, mayHaveRun: false },
  { status: 429, mayHaveRun: false },
  { status: 500, mayHaveRun: true },
  { status: 503, mayHaveRun: true },
])("a call refused with $status fails alone", async ({ status, mayHaveRun }) => {
  const server = await serverWith({ "tools/call": (call) => call.reply(status, { no: "thanks" }) });
  const opened = await openSession(server.url);
  const accepted: string[] = [];
  const listener = { onAccepted: () => accepted.push("accepted") };
  const failure = await failureOf(opened.session.request("tools/call", { name: "t" }, listener).response);

  expect(failure.message).toBe(`The server answered HTTP ${status}: {"no":"thanks"}`);
  expect(failure.facts).toMatchObject({ status, mayHaveRun });
  expect(accepted).toEqual([]);
  expect(await opened.session.request("ping", undefined).response).toMatchObject({ result: {} });
  expect([opened.losses, opened.garbage]).toEqual([0, []]);
});

test("a call whose connection breaks before it is acknowledged may have run", async () => {
  const server = await serverWith({ "tools/call": (call) => call.cut() });
  const { session } = await openSession(server.url);
  const failure = await failureOf(session.request("tools/call", { name: "t" }).response);

  expect(failure.message).toMatch(/^The connection to the server broke: /);
  expect(failure.facts.mayHaveRun).toBe(true);
  expect(session.isUsable).toBe(true);
});

test("a server that wants its messages elsewhere in the middle of a session is not followed", async () => {
  const server = await serverWith({
    "tools/call": (call, stream) => {
      call.accept();
      stream.event("http://elsewhere.example/in", { event: "endpoint" });
    },
  });
  const opened = await openSession(server.url);
  const failure = await failureOf(opened.session.request("tools/call", { name: "t" }).response);

  expect(failure.message).toMatch(
    /^The server's endpoint for messages cannot be used: .*elsewhere\.example$/,
  );
  expect([failure.facts.mayHaveRun, opened.losses]).toEqual([true, 1]);
});

test("whoever fails at taking a message ends the session, and leaves no stream open", async () => {
  const server = await serverWith();
  const wire = wireTo(server.url);
  const lost = new Promise<void>((resolve) => {
    wire.onLost = resolve;
  });
  await wire.tell({ jsonrpc: "2.0", method: "notifications/initialized" });
  wire.setProtocolVersion("2024-11-05");
  wire.onMessage = () => {
    throw new Error("no");
  };
  const { ended } = wire.ask({ jsonrpc: "2.0", id: 1, method: "ping" });

  const failure = await failureOf(ended);
  await lost;
  expect(failure.facts).toMatchObject({
    mayHaveRun: true,
    cause: { message: expect.stringContaining("no") },
  });
  await server.until(() => server.pending === 0, "the stream to be let go");
});
