/** A server that refuses the call at once: the client is refused the same way, before it has a handle. */

import { expect, test } from "vitest";
import { LegacyWire } from "../../support/legacy-wire.ts";
import type { Exchange } from "../../support/scripted-exchange.ts";
import { count, story } from "../../support/story.ts";

const CALL = { name: "t", task: {} };
const SESSION_NOT_FOUND = { code: -32001, message: "Session not found" };

/** Refuses with a JSON-RPC error without an id, as transports do. */
function refuse(call: Exchange, status: number, headers: Record<string, string> = {}): void {
  const error = { code: -32000 - (status % 100), message: `refused with ${status}`, data: { status } };
  call.reply(status, { jsonrpc: "2.0", id: null, error }, headers);
}

test.each([400, 402, 403, 404, 409, 429])("HTTP %i comes with the server's error", async (status) => {
  const { url, server } = await story({ "tools/call": (call) => refuse(call, status) });
  const user = await LegacyWire.connect(url);
  const answer = await user.send("tools/call", CALL, { id: 5 });
  expect(answer.status).toBe(status);
  expect(answer.message).toEqual({
    jsonrpc: "2.0",
    id: 5,
    error: { code: -32000 - (status % 100), message: `refused with ${status}`, data: { status } },
  });
  expect(count(server, "tools/call")).toBe(1);
});

test("the wish for credentials reaches the client", async () => {
  const challenge = 'Bearer resource_metadata="https://auth.example/doc", scope="a b"';
  const { url } = await story({
    "tools/call": (call) => call.reply(401, "who are you?", { "www-authenticate": challenge }),
  });
  const user = await LegacyWire.connect(url);
  const { status, headers, message } = await user.send("tools/call", CALL);
  expect([status, headers["www-authenticate"]]).toEqual([401, challenge]);
  expect(message.error).toMatchObject({ code: -32603, message: expect.stringContaining("401") });
});

test("the wish for further scopes reaches the client", async () => {
  const challenge = 'Bearer error="insufficient_scope", scope="print"';
  const { url } = await story({
    "tools/call": (call) => refuse(call, 403, { "www-authenticate": challenge }),
  });
  const user = await LegacyWire.connect(url);
  const { status, headers } = await user.send("tools/call", CALL);
  expect([status, headers["www-authenticate"]]).toEqual([403, challenge]);
});

test.each([404, 400] as const)(
  "a session that the server has forgotten (%i) is not revived",
  async (lost) => {
    const { url, server } = await story({}, {}, { lostStatus: lost });
    const user = await LegacyWire.connect(url);
    server.sessions.clear();
    const sessions = count(server, "initialize");
    const { status, message } = await user.send("tools/call", CALL);
    expect([status, message.error]).toEqual([lost, SESSION_NOT_FOUND]);
    expect([count(server, "tools/call"), count(server, "initialize")]).toEqual([1, sessions]);
  },
);

test.each([
  ["HTTP 500 without a word", (call: Exchange) => call.reply(500, ""), /HTTP 500/],
  ["HTTP 503 with a page", (call: Exchange) => call.reply(503, "<h1>later</h1>"), /HTTP 503/],
  ["a connection that breaks", (call: Exchange) => call.cut(), /broke/],
  ["an answer that is none", (call: Exchange) => call.accept(), /no stream to answer/],
  ["an answer that is no JSON", (call: Exchange) => call.reply(200, "hello"), /no JSON/],
  ["a stream that ends too soon", (call: Exchange) => call.sse().end(), /without an answer/],
])("%s makes a task that has failed, and says so", async (_, script, message) => {
  const { url } = await story({ "tools/call": script });
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  const task = await user.taskThat(taskId, "failed");
  expect(task.statusMessage).toMatch(message);
  expect(await user.error("tasks/result", { taskId })).toMatchObject({
    code: -32603,
    message: expect.stringMatching(message),
  });
});

test("a server that is gone makes a task that has failed, and says so", async () => {
  const { url, server } = await story({});
  const user = await LegacyWire.connect(url);
  await server.close();
  const { taskId } = await user.begin("t");
  const task = await user.taskThat(taskId, "failed");
  expect(task.statusMessage).toContain("ECONNREFUSED");
  expect(await user.error("tasks/result", { taskId })).toMatchObject({ code: -32603 });
});

test("a tool that is always a task gives a handle first, and fails with the refusal", async () => {
  const { url } = await story({ "tools/call": (call) => refuse(call, 403) }, { policy: { mode: "always" } });
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  expect((await user.taskThat(taskId, "failed")).statusMessage).toContain("refused with 403");
});

test("a refusal that comes after the window fails the task", async () => {
  const { url, server } = await story({ "tools/call": () => undefined }, { policy: { waitForMs: 10 } });
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  refuse(await server.arrival("tools/call"), 403);
  expect((await user.taskThat(taskId, "failed")).statusMessage).toContain("refused with 403");
});
