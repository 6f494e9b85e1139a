/** URLs at which there is no session to be had over HTTP+SSE: what the caller is told, and that nothing is left behind. */

import { expect, onTestFinished, test, vi } from "vitest";
import type { FailureFacts } from "../../src/upstream/failure.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { welcome } from "../support/sse-server.ts";
import { count } from "../support/story.ts";
import { failureOf, openSession, serverWith, wireTo } from "./sse-session.ts";

interface Greeting {
  readonly found: string;
  readonly greet: (visit: Exchange) => unknown;
  readonly message: string | RegExp;
  readonly facts?: Partial<FailureFacts>;
}

const CHALLENGE = 'Bearer error="insufficient_scope", scope="tools"';

const GREETINGS: readonly Greeting[] = [
  {
    found: "JSON",
    greet: (visit) => visit.reply(200, { hello: "world" }),
    message: "The server answered HTTP 200 with application/json, expected HTTP 200 with text/event-stream",
  },
  {
    found: "a page",
    greet: (visit) => visit.reply(200, "<html>"),
    message:
      "The server answered HTTP 200 with text/html; charset=utf-8, expected HTTP 200 with text/event-stream",
  },
  {
    found: "no page",
    greet: (visit) => visit.reply(404, "<html>"),
    message: "The server answered HTTP 404: an HTML page",
    facts: { status: 404 },
  },
  {
    found: "nothing to listen to",
    greet: (visit) => visit.reply(405, { error: "no" }),
    message: 'The server answered HTTP 405: {"error":"no"}',
    facts: { status: 405 },
  },
  {
    found: "no content",
    greet: (visit) => visit.response.writeHead(204).end(),
    message: "The server answered HTTP 204 with nothing, expected HTTP 200 with text/event-stream",
  },
  {
    found: "a stream of another kind",
    greet: (visit) => {
      visit.response.writeHead(206, { "content-type": "text/event-stream" }).flushHeaders();
    },
    message: "The server answered HTTP 206 with text/event-stream, expected HTTP 200 with text/event-stream",
  },
  {
    found: "a login",
    greet: (visit) => visit.reply(401, { error: "who?" }, { "www-authenticate": CHALLENGE }),
    message: 'The server answered HTTP 401: {"error":"who?"}',
    facts: { status: 401, wwwAuthenticate: CHALLENGE },
  },
  {
    found: "too little scope",
    greet: (visit) => visit.reply(403, { error: "no" }, { "www-authenticate": CHALLENGE }),
    message: 'The server answered HTTP 403: {"error":"no"}',
    facts: { status: 403, wwwAuthenticate: CHALLENGE },
  },
  {
    found: "an overloaded server",
    greet: (visit) => visit.reply(503, "<html>"),
    message: "The server answered HTTP 503: an HTML page",
    facts: { status: 503 },
  },
  {
    found: "a way to another origin",
    greet: (visit) => visit.reply(302, "", { location: "http://elsewhere.example/sse" }),
    message: /^The server answered HTTP 302, expected an event stream \(.*http:\/\/elsewhere\.example\/sse/,
  },
  {
    found: "a stream that ends before it has begun",
    greet: (visit) => visit.sse().end(),
    message: "The server closed its event stream before it answered initialize",
  },
  {
    found: "a connection that breaks",
    greet: (visit) => visit.cut(),
    message: /^The connection to the server broke: /,
  },
  {
    found: "an endpoint at another origin",
    greet: (visit) => visit.sse().event("http://elsewhere.example/in", { event: "endpoint" }),
    message:
      "The server's endpoint for messages cannot be used: Endpoint origin does not match connection origin: http://elsewhere.example",
  },
  {
    found: "an endpoint that is no URL",
    greet: (visit) => visit.sse().event("http://", { event: "endpoint" }),
    message: "The server's endpoint for messages cannot be used: Invalid URL",
  },
];

test.each(GREETINGS)(
  "who finds $found is told so, and leaves nothing behind",
  async ({ greet, message, facts }) => {
    const server = await serverWith({}, { greet: (visit) => void greet(visit) });
    const failure = await failureOf(openSession(server.url));

    expect(failure.message).toMatch(message);
    expect(failure.facts).toMatchObject({ ...facts, mayHaveRun: false });
    expect(failure.facts.status).toBe(facts?.status);
    await server.until(() => server.pending === 0, "everything to be let go");
    expect(server.received.map(({ method }) => method)).toEqual(["GET"]);
  },
);

test("what was to be sent first has not run, and what comes after it is not sent", async () => {
  const server = await serverWith({}, { greet: (visit) => visit.reply(503, { no: "room" }) });
  const wire = wireTo(server.url);
  const first = wire.ask({ jsonrpc: "2.0", id: 1, method: "initialize" });
  const second = wire.tell({ jsonrpc: "2.0", method: "notifications/initialized" });

  const facts = { status: 503, mayHaveRun: false };
  expect((await failureOf(first.ended)).facts).toMatchObject(facts);
  expect((await failureOf(second)).facts).toMatchObject(facts);
  expect((await failureOf(wire.ask({ jsonrpc: "2.0", id: 2, method: "ping" }).ended)).facts).toMatchObject(
    facts,
  );
  expect(count(server, "GET")).toBe(1);
});

test("who finds nobody is told so", async () => {
  const server = await serverWith();
  await server.close();
  const failure = await failureOf(openSession(server.url));

  expect(failure.message).toBe("The server cannot be reached (ECONNREFUSED)");
  expect(failure.facts.mayHaveRun).toBe(false);
});

test.each([
  { found: "silence", greet: () => undefined },
  { found: "a stream without an endpoint", greet: (visit: Exchange) => visit.sse().raw(": hello\n\n") },
  {
    found: "a page without an end",
    greet: ({ response }: Exchange) => response.writeHead(200, { "content-type": "text/html" }).write("<p>"),
  },
])("$found is given ten seconds", async ({ greet }) => {
  const server = await serverWith({}, { greet: (visit) => void greet(visit) });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const opening = failureOf(openSession(server.url));
  await server.arrival("GET");
  vi.advanceTimersByTime(10_000);

  const failure = await opening;
  expect(failure.message).toBe("The server did not name its endpoint for messages within 10000 ms");
  expect(failure.facts.mayHaveRun).toBe(false);
  await server.until(() => server.pending === 0, "everything to be let go");
});

test("a session that was opened in time is left alone", async () => {
  const server = await serverWith();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const opened = await openSession(server.url);
  vi.advanceTimersByTime(60_000);

  expect(await opened.session.request("ping", undefined).response).toMatchObject({ result: {} });
  expect(opened.losses).toBe(0);
});

test("a server that never takes notifications/initialized is given ten seconds", async () => {
  const server = await serverWith({ "notifications/initialized": () => undefined });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const opening = failureOf(openSession(server.url));
  await server.arrival("notifications/initialized");
  vi.advanceTimersByTime(10_000);

  expect((await opening).message).toBe("The server did not take notifications/initialized within 10000 ms");
  await server.until(() => server.pending === 0, "everything to be let go");
});

test.each(["initialize", "notifications/initialized"])("a server that refuses %s", async (script) => {
  const refuse = (exchange: Exchange) => exchange.reply(400, "wrong", { "content-type": "text/plain" });
  const server = await serverWith({ [script]: refuse });
  const failure = await failureOf(openSession(server.url));

  expect(failure.message).toBe("The server answered HTTP 400: wrong");
  expect(failure.facts).toMatchObject({ status: 400, mayHaveRun: false });
  await server.until(() => server.pending === 0, "everything to be let go");
});

test("a server with room for one client has it again when that has gone", async () => {
  const server = await serverWith(
    {},
    {
      greet: (visit) => {
        if (server.sessions.size > 1) visit.reply(409, { error: "one at a time" });
        else welcome(visit);
      },
    },
  );
  const { session } = await openSession(server.url);
  const failure = await failureOf(openSession(server.url));
  expect(failure.facts.status).toBe(409);

  await session.close();
  await server.until(() => server.pending === 0, "everything to be let go");
  const next = await openSession(server.url);
  expect(await next.session.request("ping", undefined).response).toMatchObject({ result: {} });
});
