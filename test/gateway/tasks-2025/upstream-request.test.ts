/** What the server gets of a call that is a task: the client's own request, but for what is the gateway's affair. */

import { expect, test } from "vitest";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { count, expectCancelled, story } from "../../support/story.ts";

const SILENT = { "tools/call": () => undefined } as const;

test("the call comes in the client's session, with all that the server knows the client by", async () => {
  const { url, server } = await story(SILENT);
  const headers = { authorization: "Bearer 1", cookie: "a=1; b=2", "x-custom": "c", "user-agent": "wire/1" };
  const user = await LegacyWire.connect(url, { headers });
  await user.begin("t", { arguments: { n: 1 }, "x-unknown": { deep: [null] } });
  const { message, headers: got, session } = await server.arrival("tools/call");
  expect(session.id).toBe(user.sessionId);
  expect(got).toMatchObject({
    ...headers,
    "mcp-session-id": user.sessionId,
    "mcp-protocol-version": "2025-11-25",
    "content-type": "application/json",
    accept: expect.stringMatching(/^(?=.*application\/json)(?=.*text\/event-stream)/),
  });
  expect(message).toMatchObject({ jsonrpc: "2.0", method: "tools/call" });
  expect(message.params).toEqual({
    name: "t",
    arguments: { n: 1 },
    "x-unknown": { deep: [null] },
    _meta: { progressToken: expect.any(String) },
  });
});

test("what a client of two revisions says of one request in its headers is said of no other", async () => {
  const { url, server } = await story(SILENT);
  const headers = { "mcp-method": "tools/call", "mcp-name": "t", "mcp-param-Region": "eu", "x-custom": "c" };
  const user = await LegacyWire.connect(url, { headers });
  const { taskId } = await user.begin("t");
  await user.result("tasks/cancel", { taskId });
  const sent = [await server.arrival("tools/call"), await server.arrival("notifications/cancelled")];
  expect(sent.map(({ headers: got }) => got["x-custom"])).toEqual(["c", "c"]);
  const names = sent.flatMap(({ headers: got }) => Object.keys(got));
  expect(names.filter((name) => /^mcp-(?:method|name|param-.*)$/.test(name))).toEqual([]);
});

test("no session is opened or ended for it, and no stream", async () => {
  const { url, server } = await story({ "tools/call": (call) => call.text("done") });
  const user = await LegacyWire.connect(url);
  const seen = server.received.length;
  const { taskId } = await user.begin("t");
  await user.result("tasks/result", { taskId });
  expect(server.received.slice(seen).map(({ method }) => method)).toEqual(["tools/call"]);
  expect(server.sessions.has(user.sessionId)).toBe(true);
});

test("its id is not one that the client could use, and two calls have different ones", async () => {
  const { url, server } = await story(SILENT);
  const user = await LegacyWire.connect(url);
  await user.begin("t");
  await user.begin("t");
  const calls = [await server.arrival("tools/call"), await server.arrival("tools/call", 2)];
  const [first, second] = calls.map(({ message }) => message.id);
  expect(first).toMatch(/^taskgate-[\w-]{22,}/);
  expect(second).toMatch(/^taskgate-[\w-]{22,}/);
  expect(first).not.toBe(second);
});

test("the client's token for progress, and what else it says in _meta, are passed on", async () => {
  const { url, server } = await story(SILENT);
  const user = await LegacyWire.connect(url);
  const _meta = { progressToken: 0, traceparent: "00-1-2-01", "x/y": { z: 1 } };
  await user.begin("t", { _meta });
  expect((await server.arrival("tools/call")).message.params?._meta).toEqual(_meta);
});

test("headers of the configuration stand in for the client's own", async () => {
  const { url, server } = await story(SILENT, { headers: { "x-api-key": "of the gateway" } });
  const user = await LegacyWire.connect(url, { headers: { "x-api-key": "of the client" } });
  await user.begin("t");
  expect((await server.arrival("tools/call")).headers["x-api-key"]).toBe("of the gateway");
});

test("a server without sessions is called without one, and hears of a cancellation", async () => {
  const { url, server } = await story(SILENT, {}, { stateless: true });
  const user = await LegacyWire.connect(url);
  expect(user.sessionId).toBeUndefined();
  const { taskId } = await user.begin("t");
  const call = await server.arrival("tools/call");
  expect(call.headers).not.toHaveProperty("mcp-session-id");
  await user.result("tasks/cancel", { taskId });
  await expectCancelled(server, call);
});

test("two clients' calls stay in their own sessions", async () => {
  const { url, server } = await story(SILENT);
  const [ada, eve] = [await LegacyWire.connect(url), await LegacyWire.connect(url)];
  await Promise.all([ada.begin("ada"), eve.begin("eve")]);
  await server.until(() => count(server, "tools/call") === 2, "both calls");
  const calls = server.received.filter(({ method }) => method === "tools/call");
  expect(Object.fromEntries(calls.map(({ message, session }) => [message.params?.name, session.id]))).toEqual(
    {
      ada: ada.sessionId,
      eve: eve.sessionId,
    },
  );
});
