/**
 * Every way in which one caller could reach what is another's, over every store and every transport. Ada has tasks, of both
 * generations, that have ended, run and ask; Eve has all their names, and whatever else Ada was told.
 */

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startUpstream, type TransportUnderTest } from "../contracts/upstream-witness.ts";
import { directory } from "../store/places.ts";
import { type GatewayUnderTest, gatewayFor } from "../support/gateway.ts";
import { LegacyWire } from "../support/legacy-wire.ts";
import { type Json, ModernClient, TASKS } from "../support/modern-client.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { accept, textOf } from "../support/story.ts";

const UNKNOWN = { code: -32602, message: "Failed to retrieve task: no such task" };
const NOBODYS = "A".repeat(24);
const FORM = { elicitation: { form: {} } };

const cleanUps: (() => Promise<void>)[] = [];
const noRedis = withoutRedis("two callers over Redis");
let redisUrl = "";
/** Each world has one of its own. */
let database = 0;
beforeAll(async () => {
  if (!noRedis) redisUrl = (await redisForTest({ atEnd: (cleanUp) => cleanUps.push(cleanUp) })).url;
});
afterAll(async () => {
  for (const cleanUp of cleanUps) await cleanUp();
});

const STORES: Readonly<Record<string, () => Promise<string>>> = {
  memory: async () => "memory:",
  level: async () => `level:${await directory()}`,
  redis: async () => `${redisUrl}/${database++}`,
};
const TRANSPORTS = ["streamable-http", "sse", "stdio", "modern"] as const;

for (const [store, open] of Object.entries(STORES)) {
  // What a transport does has nothing to do with where tasks are kept.
  const transports = store === "memory" ? TRANSPORTS : TRANSPORTS.slice(0, 1);
  describe.skipIf(store === "redis" && noRedis)(store, () => {
    test.each(transports)("%s, clients of 2026-07-28", async (transport) => {
      await modernClients(await world(open, transport));
    });
    // A server that speaks nothing else has nothing to say to older clients.
    test.each(transports.filter((transport) => transport !== "modern"))(
      "%s, clients of 2025-11-25",
      async (transport) => legacyClients(await world(open, transport)),
    );
  });
}

interface World extends GatewayUnderTest {
  readonly transport: TransportUnderTest;
  /** A modern client of that name, with tasks unless told otherwise. */
  as(name: string, capabilities?: object): ModernClient;
  connect(name: string): Promise<LegacyWire>;
}

async function world(open: () => Promise<string>, transport: TransportUnderTest): Promise<World> {
  const server = await startUpstream(transport);
  const gateway = await gatewayFor({
    ...server.settings,
    store: await open(),
    callers: { identify: "header", header: "x-user", trustedProxies: ["127.0.0.1"] },
    policy: { mode: "always" },
    // Held calls are what comes before a task.
    tools: [{ match: "roots", mode: "auto", waitForMs: 60_000 }],
  });
  return {
    ...gateway,
    transport,
    as: (name, capabilities = { ...TASKS, ...FORM }) =>
      new ModernClient(gateway.url, { capabilities: { ...capabilities }, headers: { "x-user": name } }),
    connect: (name) => LegacyWire.connect(gateway.url, { headers: { "x-user": name } }),
  };
}

async function modernClients({ as, transport }: World): Promise<void> {
  const [ada, eve] = [as("ada"), as("eve")];
  const done = await ada.callTool("echo", { text: "for ada" });
  await ada.settled(done.taskId);
  const asking = await ada.callTool("ask", { label: "ada" });
  const { inputRequests } = await ada.taskWhen(asking.taskId, ({ status }) => status === "input_required");
  const [key = ""] = Object.keys(inputRequests);

  for (const taskId of [done.taskId, asking.taskId]) {
    await expectNone(eve, "tasks/get", { taskId });
    await expectNone(eve, "tasks/cancel", { taskId });
    await expectNone(eve, "tasks/update", { taskId, inputResponses: { [key]: accept({ name: "Eve" }) } });
    await expectNone(eve, "tasks/update", { taskId, inputResponses: { [key]: "of the wrong shape" } });
  }
  expect(Object.keys((await ada.task(asking.taskId)).inputRequests)).toEqual([key]);

  // News: what is another's is not acknowledged, and nothing is told of it.
  const leaving = new AbortController();
  onTestFinished(() => leaving.abort());
  const own = await eve.callTool("hold", { label: "eve" });
  const taskIds = [done.taskId, asking.taskId, own.taskId, NOBODYS];
  const news = eve.stream("subscriptions/listen", { notifications: { taskIds } }, { signal: leaving.signal });
  const heard: Json[] = [(await news.next()).value, (await news.next()).value];
  expect(heard[0].params.notifications.taskIds).toEqual([own.taskId]);
  await ada.result("tasks/update", {
    taskId: asking.taskId,
    inputResponses: { [key]: accept({ name: "Ada" }) },
  });
  expect(textOf((await ada.settled(asking.taskId)).result)).toBe("ada: accept Ada");
  await eve.result("tasks/cancel", { taskId: own.taskId });
  for (;;) {
    heard.push((await news.next()).value);
    if (heard.at(-1).params.status === "cancelled") break;
  }
  expect(new Set(heard.slice(1).map(({ params }) => params.taskId))).toEqual(new Set([own.taskId]));
  leaving.abort();

  // The rounds of a server that has its own are between it and its clients.
  if (transport !== "modern") await heldCalls(as("ada", { roots: {} }), as("eve", { roots: {} }));
}

/** A question that comes before there is a task: its state is the caller's, and the request's, alone. */
async function heldCalls(ada: ModernClient, eve: ModernClient): Promise<void> {
  const params = { name: "roots", arguments: { of: "ada" } };
  const asked = await ada.result("tools/call", params);
  expect(asked.resultType).toBe("input_required");
  const [key = ""] = Object.keys(asked.inputRequests);
  const round = (root: string) => ({
    requestState: asked.requestState,
    inputResponses: { [key]: { roots: [{ uri: `file:///${root}` }] } },
  });
  const refused = { code: -32602, message: "Invalid params: requestState is not valid for this request" };
  const tries = [
    [eve, { ...params, ...round("eve") }],
    [ada, { ...params, arguments: { of: "eve" }, ...round("ada") }],
    [ada, { name: "echo", arguments: params.arguments, ...round("ada") }],
    [ada, { ...params, ...round("ada"), requestState: `${asked.requestState.slice(0, -1)}_` }],
  ] as const;
  for (const [client, given] of tries) {
    expect((await client.send("tools/call", given)).message.error).toEqual(refused);
  }
  expect(textOf(await ada.result("tools/call", { ...params, ...round("ada") }))).toBe("file:///ada");
}

async function legacyClients({ as, connect, transport }: World): Promise<void> {
  const [ada, eve] = [await connect("ada"), await connect("eve")];
  const done = await ada.begin("echo", { arguments: { text: "for ada" } });
  await ada.taskThat(done.taskId, "completed");
  const asking = await ada.begin("ask", { arguments: { label: "ada" } });
  await ada.taskThat(asking.taskId, "input_required");
  const modern = await as("ada").callTool("hold", { label: "ada" });

  for (const taskId of [done.taskId, asking.taskId, modern.taskId]) {
    for (const method of ["tasks/get", "tasks/result", "tasks/cancel"]) {
      await expectNone(eve, method, { taskId });
      await expectNone(as("eve"), "tasks/get", { taskId });
    }
  }
  expect((await eve.result("tasks/list")).tasks).toEqual([]);
  const listed: { taskId: string }[] = (await ada.result("tasks/list")).tasks;
  expect(new Set(listed.map(({ taskId }) => taskId))).toEqual(
    new Set([done.taskId, asking.taskId, modern.taskId]),
  );

  // The question is asked on Ada's stream; Eve knows under which id, and even the session.
  const waiting = ada.open("tasks/result", { taskId: asking.taskId });
  const { id } = await waiting.heard("elicitation/create");
  const answer = { result: accept({ name: "Eve" }) };
  expect((await eve.respond(id, answer)).status).toBe(202);
  const stolen = { "mcp-session-id": ada.sessionId };
  const answered = await eve.post({ jsonrpc: "2.0", id, ...answer }, stolen).answer;
  const isPaired = transport !== "streamable-http";
  // A session of the gateway's own is its caller's. One of the server's is the server's to guard, and the task is not in it.
  expect(answered.status).toBe(isPaired ? 404 : 202);
  const inStolen = await eve.send("tasks/get", { taskId: asking.taskId }, { headers: stolen });
  expect([inStolen.status, inStolen.message.error.code]).toEqual(isPaired ? [404, -32001] : [200, -32602]);
  expect(await ada.task(asking.taskId)).toMatchObject({ status: "input_required" });

  await ada.respond(id, { result: accept({ name: "Ada" }) });
  expect(textOf((await waiting.answer).message.result)).toBe("ada: accept Ada");
}

/** What is another's looks the same as what is not there: status, body and the names of the headers. */
async function expectNone(
  client: ModernClient | LegacyWire,
  method: string,
  params: Readonly<Record<string, unknown>>,
): Promise<void> {
  const foreign = await client.send(method, params, { id: "same" });
  const unknown = await client.send(method, { ...params, taskId: NOBODYS }, { id: "same" });
  expect(foreign.message.error).toEqual(UNKNOWN);
  // Every stream counts its own events.
  const [one, other] = [foreign, unknown].map(({ text }) => text.replace(/^id: .*$/gm, "id"));
  expect([foreign.status, one]).toEqual([unknown.status, other]);
  expect(Object.keys(foreign.headers)).toEqual(Object.keys(unknown.headers));
}
