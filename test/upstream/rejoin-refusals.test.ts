/** What a server may say to a process that wants to go on with another's call, and what it is told then. */

import { expect, onTestFinished, test } from "vitest";
import { half, said } from "../support/call-halves.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { type ScriptedServer, startScriptedServer } from "../support/scripted-server.ts";
import { accept } from "../support/story.ts";

const FORM = { message: "Who?", requestedSchema: { type: "object", properties: {} } };
const DONE = { content: [{ type: "text", text: "done" }] };

/**
 * A server that has a call under way and has given the event id `e1`, with the record of a process that has left. `resume` is what
 * it does with a GET that goes on from an event; `answer`, the answer to the call.
 */
async function leftCall(resume: (get: Exchange, answer: object, turn: number) => void) {
  let answer = {};
  let turn = 0;
  const server = await startScriptedServer({
    "tools/call": (call) => {
      answer = call.answer(DONE);
      call.sse().event("", { id: "e1" });
    },
    GET: (get) => {
      if (get.headers["last-event-id"] === undefined) get.session.stream = get.sse();
      else {
        turn += 1;
        resume(get, answer, turn);
      }
    },
  });
  onTestFinished(server.close);
  const began = half(server.url).call();
  began.call.start();
  const record = await began.placed();
  began.call.handOff();
  return { server, record };
}

const resumed = (server: ScriptedServer) =>
  server.received.filter(({ headers }) => headers["last-event-id"] !== undefined);
const methods = (server: ScriptedServer) => server.received.map(({ method }) => method);

test.each([404, 400, 405, 401])("HTTP %i is the end at once, which says why", async (status) => {
  const { server, record } = await leftCall((get) => get.error(-32001, "not here", { status }));
  const rest = half(server.url).rest(record);
  rest.call.start();

  const end = await rest.ended();
  expect(end).toMatchObject({ kind: "ours", failure: { facts: { mayHaveRun: true, status } } });
  const [, why] =
    /^The gateway that ran the call stopped, and .* picked up: (.*)\. Whether .* is not known$/.exec(
      String(said(end)),
    ) as string[];
  expect(why).toContain(`HTTP ${status}`);
  expect(resumed(server)).toHaveLength(1);
  expect(methods(server).filter((method) => method === "tools/call")).toHaveLength(1);
});

test("a refused call is sent again on a new session where that is allowed, and its questions are forgotten", async () => {
  const { server, record } = await leftCall((get) => get.error(-32001, "not here", { status: 404 }));
  server.on("tools/call", (call) => call.text("again"));
  const checkpoint = { ...record.checkpoint, asked: { name: 7 }, usedKeys: ["name"] };
  const inputRequests = { name: { method: "elicitation/create", params: FORM } };
  const rest = half(server.url).rest({ checkpoint, inputRequests }, { mayRepeat: true });
  expect(rest.call.isAsking).toBe(true);
  rest.call.start();

  expect(said(await rest.ended())).toBe("again");
  expect(rest.heard).toContain("questions");
  const [first, second] = server.received.filter(({ method }) => method === "tools/call");
  expect(second?.session.id).not.toBe(first?.session.id);
  expect(methods(server)).not.toContain("answer");
});

test("a stream that another connection still has is waited for", async () => {
  const { server, record } = await leftCall((get, answer, turn) => {
    if (turn < 3) get.error(-32000, "Conflict", { status: 409 });
    else get.sse().event(answer, { id: "e2" }).end();
  });
  const rest = half(server.url).rest(record);
  rest.call.start();

  expect(said(await rest.ended())).toBe("done");
  expect(resumed(server)).toHaveLength(3);
});

test("the stream for the server's own messages is waited for too, and the call does not wait for it", async () => {
  const { server, record } = await leftCall(() => {});
  let refusals = 0;
  server.on("GET", (get) => {
    if (get.headers["last-event-id"] !== undefined) {
      const stream = get.sse();
      server.on("answer", (given) => {
        given.accept();
        stream.event({ jsonrpc: "2.0", id: record.checkpoint.requestId, result: DONE }).end();
      });
    } else if (refusals < 2) {
      refusals += 1;
      get.error(-32000, "Conflict", { status: 409 });
    } else {
      void get.sse().ask("elicitation/create", FORM, "late");
    }
  });
  const rest = half(server.url).rest(record);
  rest.call.start();
  const { inputRequests } = await rest.asked();
  rest.call.answer({ [String(Object.keys(inputRequests)[0])]: accept({}) });

  expect(said(await rest.ended())).toBe("done");
  expect(refusals).toBe(2);
});

test("a server without such a stream is one to go on with all the same", async () => {
  const { server, record } = await leftCall(() => {});
  server.on("GET", (get) => {
    const isResumed = get.headers["last-event-id"] !== undefined;
    if (!isResumed) get.error(-32000, "Method not allowed", { status: 405 });
    else get.sse().event({ jsonrpc: "2.0", id: record.checkpoint.requestId, result: DONE }).end();
  });
  const rest = half(server.url).rest(record);
  rest.call.start();

  expect(said(await rest.ended())).toBe("done");
});

test("a stream on which nothing at all comes is opened once more, and then waited for", async () => {
  const { server, record } = await leftCall((get, answer, turn) => {
    const stream = get.sse();
    if (turn === 2) server.on("ping", () => void stream.event(answer).end());
  });
  const rest = half(server.url).rest(record);
  rest.call.start();
  await rest.until(() => rest.heard.filter((what) => what === "accepted").length === 2, "a second stream");
  const [first] = resumed(server);
  await first?.closed;
  expect(rest.call.end).toBeUndefined();
  const { session } = record.checkpoint;
  const headers = { "content-type": "application/json", "mcp-session-id": String(session.id) };
  const ping = fetch(server.url, {
    method: "POST",
    headers,
    body: '{"jsonrpc":"2.0","id":"p","method":"ping"}',
  });
  ping.catch(() => {});

  expect(said(await rest.ended())).toBe("done");
  expect(resumed(server)).toHaveLength(2);
});

test("a stream that is cut is picked up from its last event", async () => {
  const { server, record } = await leftCall((get, answer, turn) => {
    const stream = get.sse();
    if (turn === 1) stream.notify("notifications/message", { level: "info", data: 1 }, { id: "e2" }).cut();
    else stream.event(answer, { id: "e3" }).end();
  });
  const rest = half(server.url).rest(record);
  rest.call.start();

  expect(said(await rest.ended())).toBe("done");
  expect(resumed(server).map(({ headers }) => headers["last-event-id"])).toEqual(["e1", "e2"]);
});

test.each(["end", "cut"] as const)("so is one on which another request was answered (%s)", async (ending) => {
  const { server, record } = await leftCall((get, answer, turn) => {
    const stream = get.sse();
    if (turn === 1) stream.event({ jsonrpc: "2.0", id: "another", result: {} }, { id: "e2" })[ending]();
    else stream.event(answer, { id: "e3" }).end();
  });
  const rest = half(server.url).rest(record);
  rest.call.start();

  expect(said(await rest.ended())).toBe("done");
  expect(resumed(server).map(({ headers }) => headers["last-event-id"])).toEqual(["e1", "e2"]);
});

test("a server that cannot be reached any more is given up after a few tries", async () => {
  const { server, record } = await leftCall(() => {});
  await server.close();
  const rest = half(server.url).rest(record);
  rest.call.start();

  expect(said(await rest.ended())).toMatch(/could not be picked up: The server cannot be reached/);
});

test("the gateway's own session is ended with its call, and a client's own is not", async () => {
  const { server, record } = await leftCall((get, answer) => get.sse().event(answer).end());
  const clients = half(server.url).rest(record, { isClients: true });
  clients.call.start();
  expect(said(await clients.ended())).toBe("done");
  const listened = methods(server).filter((method) => method === "GET").length;

  const own = half(server.url).rest(record);
  own.call.start();
  expect(said(await own.ended())).toBe("done");
  await server.arrival("DELETE");

  expect(methods(server).filter((method) => method === "DELETE")).toHaveLength(1);
  // The client's own session is not listened to either: only its call is; the other's stream is one more.
  expect(listened).toBe(2);
  expect(methods(server).filter((method) => method === "GET")).toHaveLength(4);
});

test("whoever leaves says nothing: no cancellation, no answer, no end of the session, and no new connection", async () => {
  const { server, record } = await leftCall((get) => {
    const stream = get.sse();
    void stream.ask("elicitation/create", FORM, "q");
  });
  const second = half(server.url);
  const rest = second.rest(record);
  rest.call.start();
  await rest.until(() => rest.call.isAsking, "the question");
  const before = methods(server);
  rest.call.handOff();
  await server.until(() => server.pending === 0, "all streams are closed");
  await second.upstream.close();

  expect(methods(server)).toEqual(before);
  expect(before).toEqual(["initialize", "notifications/initialized", "GET", "tools/call", "GET", "GET"]);
});

test("the answer's own event is no place to go on from", async () => {
  const places: unknown[] = [];
  const server = await startScriptedServer({
    "tools/call": (call) => {
      const stream = call.sse();
      stream.event("", { id: "e1" });
      stream.notify("notifications/message", { level: "info", data: 1 }, { id: "e2" });
      stream.event(call.answer(DONE), { id: "e3" }).end();
    },
  });
  onTestFinished(server.close);
  const { call, ended } = half(server.url).call();
  const note = () => places.push(call.checkpoint?.lastEventId);
  call.listen({ onCheckpoint: note, onEnd: note });
  call.start();

  expect(said(await ended())).toBe("done");
  expect(places).toEqual(["e1", "e2", undefined]);
});

test("what an event says is there when its id is", async () => {
  const server = await startScriptedServer({
    "tools/call": (call) => {
      call
        .sse()
        .event("", { id: "e1" })
        .event({ jsonrpc: "2.0", id: "q", method: "elicitation/create", params: FORM }, { id: "e2" });
    },
  });
  onTestFinished(server.close);
  const { call, heard, until } = half(server.url).call();
  const seen: unknown[] = [];
  call.listen({
    onCheckpoint: () =>
      seen.push([call.checkpoint?.lastEventId, Object.values(call.checkpoint?.asked ?? {})]),
  });
  call.start();
  await until(() => heard.filter((what) => what === "checkpoint").length === 2, "both events");

  expect(seen).toEqual([
    ["e1", []],
    ["e2", ["q"]],
  ]);
});
