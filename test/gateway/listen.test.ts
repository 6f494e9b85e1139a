import { expect, test } from "vitest";
import { listen } from "../support/listening.ts";
import type { Json } from "../support/modern-client.ts";
import { count, EVERYTHING, story, textOf } from "../support/story.ts";

const ALL_CAPABILITIES = {
  capabilities: {
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { listChanged: true, subscribe: true },
  },
} as const;
const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";
const RESOURCES = {
  "resources/subscribe": (call: { json(result: object): void }) => call.json({}),
  "resources/unsubscribe": (call: { json(result: object): void }) => call.json({}),
};

test.each(["x-1", "", 0, 42])("the subscription id %j keeps its type on every message", async (id) => {
  const { user, server, gateway } = await story({}, {}, ALL_CAPABILITIES);
  const listening = listen(user, { toolsListChanged: true }, id);
  const meta = { [SUBSCRIPTION_ID]: id };
  expect(await listening.next()).toEqual({
    jsonrpc: "2.0",
    method: "notifications/subscriptions/acknowledged",
    params: { notifications: { toolsListChanged: true }, _meta: meta },
  });
  (await controlStream(server)).notify("notifications/tools/list_changed", { _meta: { extra: 1 } });
  expect(await listening.next()).toEqual({
    jsonrpc: "2.0",
    method: "notifications/tools/list_changed",
    params: { _meta: { extra: 1, ...meta } },
  });
  const closed = gateway.close();
  expect(await listening.next()).toEqual({
    jsonrpc: "2.0",
    id,
    result: {
      resultType: "complete",
      _meta: { "io.modelcontextprotocol/serverInfo": { name: "scripted", version: "1.0.0" }, ...meta },
    },
  });
  expect(await listening.next()).toBeUndefined();
  await closed;
});

test("only what the server can tell of is acknowledged", async () => {
  const some = {
    capabilities: { tools: { listChanged: true }, prompts: {}, resources: { listChanged: true } },
  };
  const { user } = await story({}, {}, some);
  const asked = {
    toolsListChanged: true,
    promptsListChanged: true,
    resourcesListChanged: false,
    resourceSubscriptions: ["x://y"],
    somethingElse: true,
  };
  expect((await listen(user, asked).next()).params.notifications).toEqual({ toolsListChanged: true });
});

test("nobody hears of what they did not ask for", async () => {
  const { user, server } = await story(RESOURCES, {}, ALL_CAPABILITIES);
  const tools = listen(user, { toolsListChanged: true });
  const prompts = listen(user, { promptsListChanged: true, resourceSubscriptions: ["x://a"] });
  await tools.next();
  await prompts.next();
  const stream = await controlStream(server);
  stream.notify("notifications/resources/list_changed");
  stream.notify("notifications/resources/updated", { uri: "x://b" });
  stream.notify("notifications/message", { level: "emergency", data: "!" });
  stream.notify("notifications/prompts/list_changed");
  stream.notify("notifications/resources/updated", { uri: "x://a", title: "A" });
  stream.notify("notifications/tools/list_changed");
  expect((await tools.next()).method).toBe("notifications/tools/list_changed");
  expect((await prompts.next()).method).toBe("notifications/prompts/list_changed");
  expect(await prompts.next()).toMatchObject({
    method: "notifications/resources/updated",
    params: { uri: "x://a", title: "A", _meta: { [SUBSCRIPTION_ID]: 1 } },
  });
});

test("a resource is subscribed to once for all, and unsubscribed from when the last has left", async () => {
  const { user, server } = await story(RESOURCES, {}, ALL_CAPABILITIES);
  const first = listen(user, { resourceSubscriptions: ["x://a", "x://b", "x://a"] });
  const second = listen(user, { resourceSubscriptions: ["x://a"] });
  expect((await first.next()).params.notifications).toEqual({ resourceSubscriptions: ["x://a", "x://b"] });
  expect((await second.next()).params.notifications).toEqual({ resourceSubscriptions: ["x://a"] });
  expect(uris(server, "resources/subscribe")).toEqual(["x://a", "x://b"]);

  first.leave();
  expect((await server.arrival("resources/unsubscribe")).message.params?.uri).toBe("x://b");
  (await controlStream(server)).notify("notifications/resources/updated", { uri: "x://a" });
  expect(await second.next()).toMatchObject({ method: "notifications/resources/updated" });
  expect(count(server, "resources/unsubscribe")).toBe(1);
  second.leave();
  await server.arrival("resources/unsubscribe", 2);
  expect(uris(server, "resources/unsubscribe")).toEqual(["x://b", "x://a"]);

  const third = listen(user, { resourceSubscriptions: ["x://a"] });
  await third.next();
  expect(uris(server, "resources/subscribe")).toEqual(["x://a", "x://b", "x://a"]);
});

test("a resource that the server does not let be subscribed to is left out, also for a second who asks", async () => {
  const { user, server } = await story(
    {
      ...RESOURCES,
      "resources/subscribe": (call) =>
        call.message.params?.uri === "x://no" ? call.error(-32002, "no such resource") : call.json({}),
    },
    {},
    ALL_CAPABILITIES,
  );
  const asked = { resourceSubscriptions: ["x://no", "x://yes"] };
  const both = [listen(user, asked), listen(user, asked)];
  for (const { next } of both)
    expect((await next()).params.notifications).toEqual({ resourceSubscriptions: ["x://yes"] });
  for (const { leave } of both) leave();
  await server.arrival("resources/unsubscribe");
  expect(uris(server, "resources/unsubscribe")).toEqual(["x://yes"]);
});

test.each([
  undefined,
  [],
  { toolsListChanged: "yes" },
  { taskIds: "all" },
  { taskIds: [1] },
  { resourceSubscriptions: {} },
  { taskIds: Array.from({ length: 1_001 }, (_, n) => `${n}`) },
])("a filter that cannot be read is refused: %#", async (notifications) => {
  const { user } = await story({});
  const { message } = await user.send("subscriptions/listen", { notifications });
  expect(message.error.code).toBe(-32602);
});

test("a quiet subscription is kept alive with comments", async () => {
  const { user } = await story({}, { limits: { keepAliveMs: 20 } });
  const leaving = new AbortController();
  const { headers, body } = await user.open(
    "subscriptions/listen",
    { notifications: {} },
    { signal: leaving.signal },
  );
  expect(headers).toMatchObject({ "content-type": "text/event-stream", "x-accel-buffering": "no" });
  let comments = 0;
  for await (const chunk of body) {
    comments += String(chunk).split(":\n\n").length - 1;
    if (comments >= 3) break;
  }
  expect(comments).toBeGreaterThanOrEqual(3);
});

test("who listens hears that everything may have changed when the server lost the session", async () => {
  const { user, server } = await story(RESOURCES, {}, ALL_CAPABILITIES);
  const listening = listen(user, { toolsListChanged: true, resourceSubscriptions: ["x://a"] });
  await listening.next();
  const stream = await controlStream(server);
  server.sessions.clear();
  stream.end();
  expect((await listening.next()).method).toBe("notifications/tools/list_changed");
  expect((await listening.next()).params.uri).toBe("x://a");
  expect(uris(server, "resources/subscribe")).toEqual(["x://a", "x://a"]);
  (await controlStream(server)).notify("notifications/tools/list_changed");
  expect((await listening.next()).method).toBe("notifications/tools/list_changed");
});

test("a change of the tools reaches the next call's header check", async () => {
  const tool = (header: string) => ({
    name: "t",
    inputSchema: { type: "object", properties: { a: { type: "string", "x-mcp-header": header } } },
  });
  let header = "One";
  const { user, server } = await story(
    {
      "tools/list": (call) => call.json({ tools: [tool(header)] }),
      "tools/call": (call) => call.text("done"),
    },
    {},
    ALL_CAPABILITIES,
  );
  const call = (name: string) => user.callTool("t", { a: "v" }, { headers: { [`mcp-param-${name}`]: "v" } });
  expect(textOf(await call("one"))).toBe("done");
  header = "Two";
  const heard = listen(user, { toolsListChanged: true });
  await heard.next();
  (await controlStream(server)).notify("notifications/tools/list_changed");
  await heard.next();
  expect(textOf(await call("two"))).toBe("done");
  await expect(call("one")).rejects.toThrow("-32020");
});

/** The GET stream of the session that answers lists and subscriptions for `user`. */
function controlStream(server: Awaited<ReturnType<typeof story>>["server"]) {
  const { extensions: _, ...declared } = EVERYTHING;
  const isControl = ({ initialize }: { initialize: Json }) =>
    JSON.stringify(Object.keys(initialize.capabilities)) === JSON.stringify(Object.keys(declared).sort());
  const session = [...server.sessions.values()].find(isControl);
  if (session === undefined) throw new Error("there is no control session");
  return server.stream(session);
}

function uris(server: Awaited<ReturnType<typeof story>>["server"], method: string): unknown[] {
  return server.received.filter((one) => one.method === method).map(({ message }) => message.params?.uri);
}
