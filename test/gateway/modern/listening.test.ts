import { expect, test } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import type { Json } from "../../support/modern-client.ts";
import { complete, modernStory, said } from "../../support/modern-server.ts";
import type { Script } from "../../support/scripted-server.ts";
import { count, gate, type Story } from "../../support/story.ts";

const SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId";
const ALWAYS = { policy: { mode: "always" } } as const;

/** A server that honours everything, tells of a change, and then waits for what the test wants. */
function listens(
  then: (send: (method: string, params?: JsonObject) => void, end: () => void) => Promise<void>,
): Script {
  return async (call) => {
    const _meta = { [SUBSCRIPTION]: call.message.id };
    const stream = call.sse();
    const send = (method: string, params: JsonObject = {}) =>
      void stream.notify(method, { ...params, _meta });
    send("notifications/subscriptions/acknowledged", { notifications: call.message.params?.notifications });
    send("notifications/tools/list_changed");
    await then(send, () => {
      stream.event(call.answer({ ...complete({}), _meta }));
      stream.end();
    });
  };
}

async function* listening(
  { user }: Story,
  notifications: JsonObject,
  signal: AbortSignal,
): AsyncGenerator<Json> {
  yield* user.stream("subscriptions/listen", { notifications }, { id: "mine", signal });
}

async function next(stream: AsyncGenerator<Json>): Promise<Json> {
  return (await stream.next()).value;
}

test("a subscription without tasks is the server's own", async () => {
  const told = await modernStory({ "subscriptions/listen": listens(async () => {}) });
  const leaving = new AbortController();
  const stream = listening(told, { toolsListChanged: true, "x-more": 1 }, leaving.signal);
  expect(await next(stream)).toEqual({
    jsonrpc: "2.0",
    method: "notifications/subscriptions/acknowledged",
    params: { notifications: { toolsListChanged: true, "x-more": 1 }, _meta: { [SUBSCRIPTION]: "mine" } },
  });
  expect((await next(stream)).method).toBe("notifications/tools/list_changed");
  leaving.abort();
  const call = await told.server.arrival("subscriptions/listen");
  expect(call.message.id).toBe("mine");
  await call.closed;
});

test("a subscription that passes ends in good order when the gateway stops", async () => {
  const told = await modernStory({ "subscriptions/listen": listens(async () => {}) });
  const stream = listening(told, { toolsListChanged: true }, new AbortController().signal);
  await next(stream);
  await next(stream);
  const closing = told.gateway.close();
  expect(await next(stream)).toEqual({
    jsonrpc: "2.0",
    id: "mine",
    result: { resultType: "complete", _meta: { [SUBSCRIPTION]: "mine" } },
  });
  expect((await stream.next()).done).toBe(true);
  await closing;
});

test("our tasks and the server's changes are told on one stream, until the server ends it", async () => {
  const { opened, open } = gate();
  const { opened: over, open: end } = gate();
  const told = await modernStory(
    {
      "tools/call": async (call) => {
        await opened;
        call.json(said("done"));
      },
      "subscriptions/listen": listens(async (send, finish) => {
        await opened;
        send("notifications/resources/updated", { uri: "file:///a" });
        await over;
        finish();
      }),
    },
    ALWAYS,
  );
  const { taskId } = await told.user.callTool("anything");
  const filter = { toolsListChanged: true, "x-more": [1], taskIds: [taskId, "unknown"] };
  const stream = listening(told, filter, new AbortController().signal);
  expect((await next(stream)).params).toEqual({
    notifications: { toolsListChanged: true, "x-more": [1], taskIds: [taskId] },
    _meta: { [SUBSCRIPTION]: "mine" },
  });
  expect(await next(stream)).toEqual({
    jsonrpc: "2.0",
    method: "notifications/tools/list_changed",
    params: { _meta: { [SUBSCRIPTION]: "mine" } },
  });
  expect((await next(stream)).params).toMatchObject({ taskId, status: "working" });
  const { message } = await told.server.arrival("subscriptions/listen");
  expect(message.params?.notifications).toEqual({ toolsListChanged: true, "x-more": [1] });

  open();
  const heard: Json[] = [];
  while (heard.length < 2) {
    const one = await next(stream);
    if (one.method !== "notifications/tasks" || one.params.status === "completed") heard.push(one);
  }
  heard.sort((a, b) => (a.method < b.method ? -1 : 1));
  expect(heard).toMatchObject([
    {
      method: "notifications/resources/updated",
      params: { uri: "file:///a", _meta: { [SUBSCRIPTION]: "mine" } },
    },
    { method: "notifications/tasks", params: { status: "completed", _meta: { [SUBSCRIPTION]: "mine" } } },
  ]);
  end();
  expect(await next(stream)).toMatchObject({ id: "mine", result: { resultType: "complete" } });
  expect((await stream.next()).done).toBe(true);
});

test("a client that leaves a merged stream leaves the server's as well", async () => {
  const told = await modernStory(
    { "tools/call": () => {}, "subscriptions/listen": listens(async () => {}) },
    ALWAYS,
  );
  const { taskId } = await told.user.callTool("anything");
  const leaving = new AbortController();
  const stream = listening(told, { toolsListChanged: true, taskIds: [taskId] }, leaving.signal);
  await next(stream);
  leaving.abort();
  await (await told.server.arrival("subscriptions/listen")).closed;
});

test("a merged stream breaks when the server's does", async () => {
  const { opened, open } = gate();
  const told = await modernStory(
    {
      "tools/call": () => {},
      "subscriptions/listen": async (call) => {
        const notifications = call.message.params?.notifications;
        const stream = call.sse().notify("notifications/subscriptions/acknowledged", { notifications });
        await opened;
        stream.cut();
      },
    },
    ALWAYS,
  );
  const { taskId } = await told.user.callTool("anything");
  const stream = listening(told, { toolsListChanged: true, taskIds: [taskId] }, new AbortController().signal);
  await next(stream);
  open();
  const rest: Json[] = [];
  for await (const one of stream) rest.push(one);
  expect(rest.every(({ method }) => method === "notifications/tasks")).toBe(true);
});

test("tasks alone do not concern the server, and one without subscriptions honours nothing else", async () => {
  const told = await modernStory({ "tools/call": () => {} }, ALWAYS);
  const { taskId } = await told.user.callTool("anything");
  const alone = listening(told, { taskIds: [taskId] }, new AbortController().signal);
  expect((await next(alone)).params.notifications).toEqual({ taskIds: [taskId] });
  expect(count(told.server, "subscriptions/listen")).toBe(0);
  await alone.return(undefined);
  const other = listening(told, { toolsListChanged: true, taskIds: [taskId] }, new AbortController().signal);
  expect((await next(other)).params.notifications).toEqual({ taskIds: [taskId] });
  expect(count(told.server, "subscriptions/listen")).toBe(1);
  await other.return(undefined);
});

test("a server that refuses the rest of a filter refuses it all, in its own words", async () => {
  const told = await modernStory(
    { "tools/call": () => {}, "subscriptions/listen": (call) => call.error(-32602, "no such list") },
    ALWAYS,
  );
  const { taskId } = await told.user.callTool("anything");
  const notifications = { toolsListChanged: true, taskIds: [taskId] };
  const { message } = await told.user.send("subscriptions/listen", { notifications });
  expect(message.error).toEqual({ code: -32602, message: "no such list" });
});

test("a server that ends its subscription at once does not make our tasks unknown", async () => {
  const told = await modernStory(
    { "subscriptions/listen": (call) => call.json(complete({})), "tools/call": () => {} },
    ALWAYS,
  );
  const { taskId } = await told.user.callTool("anything");
  const notifications = { toolsListChanged: true, taskIds: [taskId, "unknown"] };
  const { before, message } = await told.user.send("subscriptions/listen", { notifications });
  expect(before[0].params.notifications).toEqual({ taskIds: [taskId] });
  expect(message.result.resultType).toBe("complete");
  await told.user.result("tasks/cancel", { taskId });
});
