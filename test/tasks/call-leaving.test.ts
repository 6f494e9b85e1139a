/** What a call does before it is sent, and how it is let go of at any time. */

import { expect, onTestFinished, test } from "vitest";
import { Slots } from "../../src/calls/slots.ts";
import { rpc } from "../../src/protocol/errors.ts";
import { UpstreamFailure } from "../../src/upstream/failure.ts";
import { half, said } from "../support/call-halves.ts";
import { type ScriptedServer, startScriptedServer } from "../support/scripted-server.ts";

const calls = (server: ScriptedServer): number =>
  server.received.filter(({ method }) => method === "tools/call").length;

async function quickServer(): Promise<ScriptedServer> {
  const server = await startScriptedServer({ "tools/call": (call) => call.text("done") });
  onTestFinished(server.close);
  return server;
}

test("what has to be done before is done when there is a session, and the request goes out after it", async () => {
  const server = await quickServer();
  const { call, heard, ended, until } = half(server.url).call();
  let goOn = () => {};
  let isBegun = false;
  call.beforeSend = () => {
    isBegun = true;
    return new Promise((resolve) => {
      goOn = resolve;
    });
  };
  call.start();
  await server.arrival("GET");
  await expect.poll(() => isBegun).toBe(true);
  expect(call.isWaiting).toBe(true);
  expect(calls(server)).toBe(0);
  goOn();
  await until(() => heard.includes("sent"), "the request to go out");

  expect(call.isWaiting).toBe(false);
  expect(said(await ended())).toBe("done");
});

test.each([
  ["an error of the gateway", rpc.internal("not kept"), "not kept"],
  ["a failure", new UpstreamFailure("somebody else has it", { mayHaveRun: false }), "somebody else has it"],
])("%s before it is sent ends the call, which is never sent", async (_, error, told) => {
  const server = await quickServer();
  const { call, heard, ended } = half(server.url).call();
  call.beforeSend = () => Promise.reject(error);
  call.start();

  expect(said(await ended())).toBe(told);
  expect(heard).not.toContain("sent");
  await server.arrival("DELETE");
  expect(calls(server)).toBe(0);
});

test("a call that ends while something is done before is not sent", async () => {
  const server = await quickServer();
  const { call } = half(server.url).call();
  call.beforeSend = async () => call.cancel("no longer wanted");
  call.start();
  await server.arrival("DELETE");

  expect(call.end).toEqual({ kind: "cancelled", reason: "no longer wanted" });
  expect(calls(server)).toBe(0);
});

test("a call that is left to somebody else before it is sent is not sent, and its session is ended", async () => {
  const server = await quickServer();
  const { call } = half(server.url).call();
  call.beforeSend = async () => call.handOff();
  call.start();
  await server.arrival("DELETE");

  expect(call.end).toEqual({ kind: "handedOff" });
  expect(calls(server)).toBe(0);
});

test("a session that the server has forgotten is replaced without doing it again", async () => {
  const server = await quickServer();
  const { call, upstream } = half(server.url);
  const first = call();
  first.call.start();
  expect(said(await first.ended())).toBe("done");
  server.sessions.clear();
  const { call: second, ended } = call();
  let times = 0;
  second.beforeSend = async () => {
    times += 1;
  };
  second.start();

  expect(said(await ended())).toBe("done");
  expect(times).toBe(1);
  expect(calls(server)).toBe(3);
  await upstream.close();
});

test("a call that waits for its turn is let go of, and gives its place to the next", async () => {
  const server = await startScriptedServer({ "tools/call": (call) => void call.sse() });
  onTestFinished(server.close);
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 2 });
  const { call } = half(server.url, { slots });
  const [running, waiting, last] = [call(), call(), call()];
  for (const each of [running, waiting, last]) each.call.start();
  await running.until(() => running.heard.includes("accepted"), "the first to be taken");
  waiting.call.handOff();
  expect(waiting.call.end).toEqual({ kind: "handedOff" });
  running.call.handOff();
  await last.until(() => last.heard.includes("accepted"), "the last to be taken");

  expect(calls(server)).toBe(2);
  expect(waiting.heard).toEqual(["end"]);
});

test("a call over a session that cannot be joined again is lost, and says so", async () => {
  const server = await quickServer();
  const upstream = half(server.url);
  const checkpoint = {
    session: { id: "gone", protocolVersion: "2025-11-25" },
    requestId: 3,
    progressToken: 3,
    lastEventId: "e1",
    asked: {},
    usedKeys: [],
  };
  const { call, ended } = upstream.rest({ checkpoint, inputRequests: {} });
  expect(call.checkpoint).toEqual(checkpoint);
  expect(call.state).toBe("sent");
  call.start();

  expect(said(await ended())).toMatch(/could not be picked up: The server answered HTTP 404/);
  expect(calls(server)).toBe(0);
});

test("a call that goes on when its time is up is cancelled", async () => {
  const server = await startScriptedServer({
    "tools/call": (call) => void call.sse().event("", { id: "e1" }),
    GET: (get) => void get.sse(),
  });
  onTestFinished(server.close);
  const began = half(server.url).call();
  began.call.start();
  const record = await began.placed();
  began.call.handOff();
  const { call, ended } = half(server.url).rest(record, { maxRuntimeMs: 300 });
  call.start();

  expect(said(await ended())).toBe("The call ran longer than maxRuntime and was cancelled");
  const { message } = await server.arrival("notifications/cancelled");
  expect(message.params?.requestId).toBe(record.checkpoint.requestId);
});

test("the stored call of a call is at hand for whoever keeps it", async () => {
  const server = await quickServer();
  const recipe = { method: "tools/call", headers: {} };
  expect(half(server.url).call({ storedCall: recipe }).call.storedCall).toBe(recipe);
  expect(half(server.url).call().call.storedCall).toBeUndefined();
});
