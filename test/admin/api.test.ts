import { once, setMaxListeners } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/server/validators/ajv";
import { createParser } from "eventsource-parser";
import { request } from "undici";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Admin } from "../../src/admin/admin.ts";
import { AdminEvents } from "../../src/admin/events.ts";
import { adminApp } from "../../src/http/admin/admin.ts";
import { api } from "../../src/http/admin/api.ts";
import { openApi } from "../../src/http/admin/open-api.ts";
import { httpServer } from "../../src/http/app.ts";
import { createLog } from "../../src/log/log.ts";
import { taskName } from "../../src/log/task-name.ts";
import type { TaskRecord } from "../../src/store/task-store.ts";
import type { Json } from "../support/modern-client.ts";
import { accept, asksOnce, gate, INPUT, type StorySettings, story, textResult } from "../support/story.ts";

const SECRET = "what-a-server-or-a-client-says";
const TOKEN = "an-admin-token-of-the-tests";
const READ_TOKEN = "a-token-that-only-reads";

/** A gateway with an admin listener, its server's tools, and who asks the API. */
async function operated(settings: StorySettings = {}) {
  const { opened, open } = gate();
  const tested = await story(
    {
      "tools/call": async (call) => {
        const name = call.message.params?.name;
        if (name === "asks") return asksOnce(call);
        if (name === "slow") await Promise.race([opened, call.cancelled]);
        if (name === "fails") return call.error(-32_000, SECRET);
        return call.json(textResult(SECRET));
      },
    },
    { admin: true, policy: { mode: "always" }, ...settings },
  );
  const base = new URL(tested.gateway.adminUrl ?? "");
  return { ...tested, base, ...apiAt(base), finish: open };
}

function apiAt(base: URL) {
  const ask = async (
    path: string,
    options: Parameters<typeof request>[1] = {},
  ): Promise<{ status: number; body: Json }> => {
    const { statusCode, body } = await request(new URL(path, base), options);
    return { status: statusCode, body: await body.json() };
  };
  return { ask, get: async (path: string): Promise<Json> => (await ask(path)).body };
}

const bearing = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

test("a list has the tasks of all callers, the last first, with their states and without what is said in them", async () => {
  const { user, get, finish } = await operated();
  const first = await user.callTool("slow", { secret: SECRET });
  const second = await user.callTool("fails");
  await user.settled(second.taskId);
  const listing = await get("/api/tasks");
  expect(listing).toMatchObject({
    tasks: [
      {
        name: taskName(second.taskId),
        tool: "fails",
        server: "tested",
        status: "failed",
        errorCode: -32_000,
        reason: "error -32000 of the server",
        caller: "anonymous",
        generation: "2026-07-28",
      },
      { name: taskName(first.taskId), tool: "slow", status: "working", questions: 0 },
    ],
    counts: { working: 1, failed: 1, completed: 0 },
    looked: 2,
  });
  expect(listing.nextCursor).toBeUndefined();
  const whole = JSON.stringify([listing, await get(`/api/tasks/${taskName(second.taskId)}`)]);
  for (const secret of [SECRET, first.taskId, second.taskId]) expect(whole).not.toContain(secret);
  finish();
});

describe("which server is slow is in its status, from", () => {
  test("its tasks: not those that wait for answers", async () => {
    const { user, get, finish } = await operated();
    const server = async () => (await get("/api/servers")).servers[0];
    await user.callTool("asks");
    await expect.poll(server).toMatchObject({ tasks: { working: 0, input_required: 1 } });
    for (const field of ["p95Ms", "oldestCallMs"]) expect(await server()).not.toHaveProperty(field);
    const { taskId } = await user.callTool("slow");
    await expect.poll(async () => (await server()).oldestCallMs).toBeGreaterThan(50);
    finish();
    await user.settled(taskId);
    await expect.poll(server).not.toHaveProperty("oldestCallMs");
    expect((await server()).p95Ms).toBeGreaterThan(50);
  });

  test("the calls that clients wait for: not those that wait for their turn", async () => {
    const { client, get, finish, server } = await operated({
      policy: { mode: "never" },
      server: { maxConcurrent: 1 },
    });
    const status = async () => (await get("/api/servers")).servers[0];
    const waiting = client({ capabilities: INPUT });
    const slow = waiting.callTool("slow");
    await server.arrival("tools/call");
    const quick = waiting.callTool("quick");
    await expect.poll(async () => (await status()).oldestCallMs).toBeGreaterThan(50);
    finish();
    await Promise.all([slow, quick]);
    await expect.poll(status).not.toHaveProperty("oldestCallMs");
    expect((await status()).p95Ms).toBeGreaterThan(0);
  });
});

test("filters, pages and cursors", async () => {
  const { user, ask, get } = await operated();
  for (const tool of ["a", "b", "a", "b", "a"]) await user.settled((await user.callTool(tool)).taskId);
  const all = (await get("/api/tasks")).tasks.map(({ name }: Json) => name);
  const pages: Json[] = [];
  for (let cursor = ""; pages.length < 10; ) {
    const page = await get(`/api/tasks?limit=2${cursor}`);
    pages.push(page.tasks.map(({ name }: Json) => name));
    if (page.nextCursor === undefined) break;
    cursor = `&cursor=${page.nextCursor}`;
  }
  expect(pages.map(({ length }) => length)).toEqual([2, 2, 1]);
  expect(pages.flat()).toEqual(all);

  const page = await get("/api/tasks?tool=a&status=completed&limit=2");
  expect(page.tasks).toHaveLength(2);
  expect((await get(`/api/tasks?tool=a&status=completed&cursor=${page.nextCursor}`)).tasks).toHaveLength(1);
  expect((await get("/api/tasks?tool=a&server=nobody")).tasks).toEqual([]);
  expect((await get("/api/tasks?maxAge=3600")).tasks).toHaveLength(5);
  for (const [query, detail] of [
    [`tool=b&cursor=${page.nextCursor}`, /^cursor must be the nextCursor of a page with the same filters/],
    ["cursor=made-up", /^cursor must be/],
    ["limit=0", /^limit must be a whole number of tasks from 1 to 500/],
    ["limit=501", /^limit must be/],
    ["maxAge=soon", /^maxAge must be a whole number of seconds/],
    ["status=done", /^status must be one of queued, working/],
    ["tool=a&tool=b", /^tool must be given once/],
    ["colour=red", /^colour is no filter; there are server, tool/],
  ] as const)
    expect(await ask(`/api/tasks?${query}`), query).toMatchObject({
      status: 400,
      body: { status: 400, detail: expect.stringMatching(detail) },
    });
});

test("a task's story has what happened to it, and when", async () => {
  const { user, get } = await operated();
  const { taskId } = await user.callTool("asks");
  const asked = await user.taskWhen(taskId, ({ status }) => status === "input_required");
  expect(await get(`/api/tasks/${taskName(taskId)}`)).toMatchObject({
    status: "input_required",
    questions: 1,
  });
  const keys = Object.keys(asked.inputRequests);
  const inputResponses = Object.fromEntries(keys.map((key) => [key, accept({ name: SECRET })]));
  await user.result("tasks/update", { taskId, inputResponses });
  await user.settled(taskId);
  const { story: lines, ...task } = await get(`/api/tasks/${taskName(taskId)}`);
  expect(lines).toMatchObject([
    { what: "created" },
    { what: "sent" },
    { what: "asked", count: 1 },
    { what: "answered", count: 1 },
    { what: "ended", at: task.endedAt },
  ]);
  const times = lines.map(({ at }: Json) => Date.parse(at));
  expect(times).toEqual(times.toSorted((one: number, other: number) => one - other));
  expect(JSON.stringify([lines, task])).not.toContain(SECRET);
});

test("what is said is shown where the operator has chosen so", async () => {
  const { user, get } = await operated({ admin: { payloads: true } });
  const { taskId } = await user.callTool("any");
  await user.settled(taskId);
  const { payloads } = await get(`/api/tasks/${taskName(taskId)}`);
  expect(payloads.outcome.result).toContain(SECRET);
});

test("a task is cancelled once, and the server is told", async () => {
  const { user, ask, server } = await operated();
  const { taskId } = await user.callTool("slow");
  await server.arrival("tools/call");
  const path = `/api/tasks/${taskName(taskId)}/cancel`;
  expect(await ask(path, { method: "POST" })).toMatchObject({ status: 200, body: { status: "cancelled" } });
  await server.arrival("notifications/cancelled");
  expect(await user.task(taskId)).toMatchObject({ status: "cancelled" });
  expect(await ask(path, { method: "POST" })).toMatchObject({
    status: 409,
    body: { title: "Task has ended" },
  });
  for (const [name, status] of [
    ["000000000000", 404],
    [taskId, 400],
    ["..%2Fconfig", 400],
    ["ABCDEF012345", 400],
  ])
    expect(await ask(`/api/tasks/${name}/cancel`, { method: "POST" }), String(name)).toMatchObject({
      status,
    });
  expect(await ask(path)).toMatchObject({ status: 404 });
});

describe("access", () => {
  test("who has no token gets nothing, and who may read may not cancel", async () => {
    const { ask, base } = await operated({ admin: { token: TOKEN, readToken: READ_TOKEN } });
    const wrong = [
      {},
      bearing("wrong"),
      { headers: { authorization: `Basic ${TOKEN}` } },
      bearing(`${TOKEN}x`),
    ];
    for (const options of wrong)
      for (const path of [
        "tasks",
        "tasks/000000000000",
        "servers",
        "replicas",
        "config",
        "events",
        "openapi.json",
      ])
        expect(await ask(`/api/${path}`, options), path).toMatchObject({
          status: 401,
          body: { title: "No valid token" },
        });
    const { headers } = await fetch(new URL("/api/tasks", base));
    expect(headers.get("www-authenticate")).toBe('Bearer realm="mcp-taskgate"');
    const cancel = (token: string) =>
      ask("/api/tasks/000000000000/cancel", { method: "POST", ...bearing(token) });
    for (const token of [TOKEN, READ_TOKEN])
      expect(await ask("/api/tasks", bearing(token))).toMatchObject({ status: 200 });
    expect(await cancel(READ_TOKEN)).toMatchObject({ status: 403, body: { title: "Not allowed" } });
    expect(await cancel(TOKEN)).toMatchObject({ status: 404 });
    expect((await fetch(new URL("/health/ready", base))).status).toBe(200);
    expect((await fetch(new URL("/metrics", base))).status).toBe(200);
  });

  test("on another address than loopback there is no API without a token", async () => {
    const { gateway } = await operated({ admin: { host: "0.0.0.0" } });
    const base = new URL(gateway.adminUrl ?? "");
    base.hostname = "127.0.0.1";
    expect(await apiAt(base).ask("/api/tasks")).toMatchObject({
      status: 403,
      body: { detail: expect.stringContaining("set admin.token") },
    });
  });

  test("no page of elsewhere, and no other name of this machine, reaches it", async () => {
    const { ask, base } = await operated();
    const from = (headers: Record<string, string>) => ask("/api/tasks", { headers });
    expect(await from({ origin: "http://elsewhere.example" })).toMatchObject({
      status: 403,
      body: { title: "Origin refused" },
    });
    expect(await from({ origin: "null" })).toMatchObject({ status: 403 });
    expect(await from({ host: "rebound.example" })).toMatchObject({
      status: 403,
      body: { title: "Host refused" },
    });
    expect(await from({ origin: base.origin })).toMatchObject({ status: 200 });
  });

  test("the configuration is shown without secrets", async () => {
    const headers = { authorization: SECRET, "x-key": SECRET };
    const { ask } = await operated({ headers, admin: { token: TOKEN, readToken: READ_TOKEN } });
    const { body } = await ask("/api/config", bearing(READ_TOKEN));
    expect(body.servers[0].upstream.headers).toEqual({ authorization: "***", "x-key": "***" });
    expect(body.admin).toMatchObject({ token: "***", readToken: "***", payloads: false });
    for (const secret of [SECRET, TOKEN, READ_TOKEN]) expect(JSON.stringify(body)).not.toContain(secret);
  });
});

describe("events", () => {
  test("tell what happens to tasks from now on, by their names", async () => {
    const { user, base } = await operated();
    const { events, text } = await listening(base);
    const { taskId } = await user.callTool("any");
    await user.settled(taskId);
    await vi.waitFor(() => expect(events.at(-1)).toMatchObject({ kind: "ended" }));
    expect(events.filter(({ kind }) => kind !== "changed")).toMatchObject([
      { kind: "created", task: { name: taskName(taskId), server: "tested", tool: "any" } },
      { kind: "sent" },
      { kind: "ended", status: "completed" },
    ]);
    expect(text()).not.toContain(taskId);
    expect(text()).not.toContain(SECRET);
  });

  test("as many may listen as there is room for, and one that does not read is cut off", async () => {
    const events = new AdminEvents({ nameOf: (caller) => caller, clock: () => 0 });
    const stopping = new AbortController().signal;
    // As the gateway does: every listener listens to it.
    setMaxListeners(0, stopping);
    const routes = api({ admin: { events } as Admin, version: "1", stopping, isLocal: true });
    const guard = () => undefined;
    const app = adminApp({ log: createLog("silent"), status: () => "ready", guard, api: routes });
    const http = httpServer(app).listen(0, "127.0.0.1");
    onTestFinished(() => http.closeAllConnections());
    onTestFinished(() => void http.close());
    await once(http, "listening");
    const base = new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);

    const slow = connect(Number(base.port), base.hostname);
    onTestFinished(() => void slow.destroy());
    slow.on("error", () => {}).write("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(slow, "data");
    slow.pause();
    const [reader] = await Promise.all(Array.from({ length: 99 }, () => listening(base)));
    const { ask } = apiAt(base);
    expect(await ask("/api/events")).toMatchObject({ status: 503, body: { title: "Too many listeners" } });

    // What it does not read fills the buffers of the system first.
    const task = { id: "x", route: "r", tool: "x".repeat(100_000) } as TaskRecord;
    let isThereRoom = false;
    for (let n = 0; n < 1_000 && !isThereRoom; n += 1) {
      events.observe({ kind: "left", task });
      await vi.waitFor(() => expect(reader?.events.length).toBe(n + 1));
      isThereRoom = await hasRoom(base);
    }
    expect(isThereRoom).toBe(true);
  });

  test("end when the gateway stops, and a scrape meanwhile is answered", async () => {
    const { user, base, gateway } = await operated({ limits: { drainTimeoutMs: 60_000 } });
    const { ended } = await listening(base);
    const { taskId } = await user.callTool("slow");
    const closing = gateway.close();
    await ended;
    expect((await fetch(new URL("/metrics", base))).status).toBe(200);
    expect((await fetch(new URL("/health/ready", base))).status).toBe(503);
    await apiAt(base).ask(`/api/tasks/${taskName(taskId)}/cancel`, { method: "POST" });
    await closing;
  });
});

test("every answer is what the OpenAPI document says", async () => {
  const { user, get, ask } = await operated();
  const document = openApi("1") as Json;
  expect(await get("/api/openapi.json")).toMatchObject({ openapi: "3.1.0", paths: document.paths });
  const { taskId } = await user.callTool("any");
  await user.settled(taskId);
  const slow = await user.callTool("slow");
  const inDocument = { ...document, $ref: undefined };
  const validate = (schema: string, value: unknown) => {
    const { valid, errorMessage } = new AjvJsonSchemaValidator().getValidator({
      ...inDocument.components.schemas[schema],
      components: inDocument.components,
    })(value);
    expect(valid, errorMessage).toBe(true);
  };
  for (const [path, schema] of [
    ["/api/tasks", "TaskListing"],
    [`/api/tasks/${taskName(taskId)}`, "TaskStory"],
    ["/api/servers", "Servers"],
    ["/api/replicas", "Replicas"],
    ["/api/suggestions?hours=1", "Suggestions"],
    ["/api/refusals", "Refusals"],
    ["/api/webhooks", "Webhooks"],
    ["/api/webhooks/none/undelivered", "Problem"],
    ["/api/stats", "Stats"],
    ["/api/config", "Config"],
    ["/api/tasks/000000000000", "Problem"],
    ["/api/nothing", "Problem"],
  ] as const)
    validate(schema, await get(path));
  expect(await ask("/api/reload", { method: "POST" })).toMatchObject({
    status: 409,
    body: { title: "No file", detail: "The gateway was started without a configuration file" },
  });
  const cancelled = await ask(`/api/tasks/${taskName(slow.taskId)}/cancel`, { method: "POST" });
  validate("TaskStory", cancelled.body);
  expect(Object.keys(document.paths).sort()).toEqual(
    [
      "tasks",
      "tasks/{name}",
      "tasks/{name}/cancel",
      "servers",
      "replicas",
      "suggestions",
      "refusals",
      "webhooks",
      "webhooks/{name}/undelivered",
      "webhooks/{name}/redeliver",
      "webhooks/{name}/test",
      "stats",
      "config",
      "reload",
      "events",
      "openapi.json",
    ]
      .map((path) => `/api/${path}`)
      .sort(),
  );
});

/** Whether one more may listen. Whoever is let in leaves at once. */
async function hasRoom(base: URL): Promise<boolean> {
  const { statusCode, body } = await request(new URL("/api/events", base));
  body.on("error", () => {}).destroy();
  return statusCode === 200;
}

/** A listener that reads. It is gone when the test ends. */
async function listening(base: URL) {
  const { body } = await request(new URL("/api/events", base));
  const events: Json[] = [];
  let text = "";
  const parser = createParser({ onEvent: ({ data }) => events.push(JSON.parse(data)) });
  const ended = new Promise<void>((resolve) => body.once("close", resolve));
  const close = () => void body.destroy();
  onTestFinished(close);
  body
    .on("error", () => {})
    .on("data", (chunk) => {
      text += chunk;
      parser.feed(String(chunk));
    });
  return { events, text: () => text, close, ended };
}
