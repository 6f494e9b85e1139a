import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { plainCall } from "../../src/calls/new-call.ts";
import type { ToolPolicy } from "../../src/config/config.ts";
import { handlersFor } from "../../src/handlers.ts";
import { gatewayListener, httpServer } from "../../src/http/app.ts";
import { anonymous } from "../../src/http/callers/identify.ts";
import { mcpEndpoint } from "../../src/http/endpoint.ts";
import { ClientStreams } from "../../src/legacy/client-streams.ts";
import { Quotas } from "../../src/limits/quotas.ts";
import { createLog } from "../../src/log/log.ts";
import { ReverseProxy } from "../../src/proxy/reverse-proxy.ts";
import { Fallback } from "../../src/requests/fallback.ts";
import { OpenStreams } from "../../src/requests/open-streams.ts";
import { Routes } from "../../src/routes.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { StoreUnavailable, type TaskStore } from "../../src/store/task-store.ts";
import { CallsAwaitingInput } from "../../src/tasks/awaiting-input.ts";
import { Drain } from "../../src/tasks/drain.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { PollThrottle } from "../../src/tasks/poll-throttle.ts";
import { upstreamAgents } from "../../src/upstream/transports/agents.ts";
import { Upstream } from "../../src/upstream/upstream.ts";
import { configFor } from "../support/gateway.ts";
import { ModernClient } from "../support/modern-client.ts";
import { type Script, startScriptedServer } from "../support/scripted-server.ts";
import { accept, asksOnce, count, EVERYTHING, gate, textOf } from "../support/story.ts";

const RETRY = {
  code: -32603,
  message: "The task store is not available; try again",
  data: { retryable: true, retryAfterMs: 1_000 },
};
const unavailable = () => Promise.reject(new StoreUnavailable("away"));

test("a handle is not seen before its record is durable", async () => {
  const durable = gate();
  const { user, store } = await kept({ "tools/call": () => undefined }, { mode: "always" });
  const { create } = store;
  store.create = async (...given) => {
    const record = await create(...given);
    await durable.opened;
    return record;
  };
  let isAnswered = false;
  const pending = user.callTool("t").finally(() => {
    isAnswered = true;
  });
  await user.result("tools/list");
  expect(isAnswered).toBe(false);
  durable.open();
  expect(await user.task((await pending).taskId)).toMatchObject({ status: "working" });
});

test("without a record there is no handle, and a call that is always a task is not begun", async () => {
  const { user, server, store } = await kept(
    { "tools/call": (call) => call.text("done") },
    { mode: "always" },
  );
  store.create = unavailable;
  const { status, message } = await user.send("tools/call", { name: "t" });
  expect([status, message.error]).toEqual([503, RETRY]);
  expect(count(server, "tools/call")).toBe(0);
});

test("without a record a client that was to get a handle waits for the result", async () => {
  const done = gate();
  const { user, server, store, said } = await kept({
    "tools/call": async (call) => {
      await done.opened;
      call.text("done");
    },
  });
  const tried = gate();
  store.create = () => {
    tried.open();
    return unavailable();
  };
  const pending = user.callTool("t");
  await tried.opened;
  done.open();
  expect(textOf(await pending)).toBe("done");
  expect(count(server, "tools/call")).toBe(1);
  expect(said.join("")).toContain(
    "could not create a task; the client waits for the result, or for the task once the store takes one",
  );
});

test.each(["tasks/get", "tasks/cancel", "tasks/update"])(
  "%s of a store that is away asks to try again, and harms nothing",
  async (method) => {
    const { user, store } = await kept({ "tools/call": (call) => call.text("done") }, { mode: "always" });
    const { taskId } = await user.callTool("t");
    await user.settled(taskId);
    const { read } = store;
    store.read = unavailable;
    const { status, headers, message } = await user.send(method, { taskId, inputResponses: {} });
    expect([status, headers["retry-after"], message.error]).toEqual([503, "1", RETRY]);
    store.read = read;
    expect(await user.task(taskId)).toMatchObject({ status: "completed" });
  },
);

test("a call that was to become a task while the store was away becomes one when it is back", async () => {
  const { user, server, store } = await kept({ "tools/call": () => undefined });
  const { create } = store;
  const ids: (string | undefined)[] = [];
  store.create = (task, id) => {
    ids.push(id);
    return ids.length < 4 ? unavailable() : create(task, id);
  };
  const { taskId } = await user.callTool("t");
  // One try may have succeeded unheard: there are not to be two.
  expect(ids).toEqual([taskId, taskId, taskId, taskId]);
  expect(count(server, "tools/call")).toBe(1);
});

test("a cancellation that could not be written can be tried again", async () => {
  const { user, server, store } = await kept({ "tools/call": () => undefined }, { mode: "always" });
  const { taskId } = await user.callTool("t");
  const { end } = store;
  store.end = unavailable;
  expect((await user.send("tasks/cancel", { taskId })).message.error).toEqual(RETRY);
  expect(count(server, "notifications/cancelled")).toBe(0);
  store.end = end;
  await user.result("tasks/cancel", { taskId });
  expect(await user.task(taskId)).toMatchObject({ status: "cancelled" });
});

test("a result that the store does not take at first is kept until it does", async () => {
  const done = gate();
  const { user, store } = await kept(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("precious");
      },
    },
    { mode: "always" },
  );
  const { taskId } = await user.callTool("t");
  const { end } = store;
  const failed = gate();
  let failures = 0;
  store.end = (task, outcome) => {
    failures += 1;
    if (failures > 2) return end(task, outcome);
    if (failures === 2) failed.open();
    return unavailable();
  };
  done.open();
  await failed.opened;
  expect(await user.task(taskId)).toMatchObject({ status: "working" });
  const task = await user.settled(taskId);
  expect([task.status, textOf(task.result)]).toEqual(["completed", "precious"]);
});

test("state that could not be written does not keep the result from arriving", async () => {
  const { user, store } = await kept({ "tools/call": (call) => call.text("done") }, { mode: "always" });
  store.update = unavailable;
  const { taskId } = await user.callTool("t");
  expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
});

test("an answer that was kept while the store failed reaches the server with the next update", async () => {
  const { user, server, store } = await kept({ "tools/call": asksOnce }, { mode: "always" });
  const { taskId } = await user.callTool("t");
  await user.taskWhen(taskId, ({ status }) => status === "input_required");
  const { answers } = store;
  // The store takes the answer, and is away when it is asked which one stands.
  let isAway = false;
  const { answer } = store;
  store.answer = async (...given) => {
    await answer(...given);
    isAway = true;
    store.answer = answer;
  };
  store.answers = (...asked) => (isAway ? unavailable() : answers(...asked));
  const update = { taskId, inputResponses: { name: accept({ name: "Ada" }) } };
  // It is there, and nobody but the gateway has to look for it again.
  await user.result("tasks/update", update);
  expect(count(server, "answer")).toBe(0);
  isAway = false;
  await user.result("tasks/update", update);
  expect(textOf((await user.settled(taskId)).result)).toContain("Ada");
});

test("an outcome that cannot be written at all does not bring the gateway down", async () => {
  const done = gate();
  const { user, store } = await kept(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("done");
      },
    },
    { mode: "always" },
  );
  const { taskId } = await user.callTool("t");
  const tried = gate();
  const { end } = store;
  store.end = () => {
    tried.open();
    return Promise.reject(new Error("a bug"));
  };
  done.open();
  await tried.opened;
  store.end = end;
  // Whoever asks finds a task that nobody looks after any more.
  expect(await user.settled(taskId)).toMatchObject({ status: "failed" });
});

/** A gateway of the same parts as the real one, over a store whose methods a test may replace. */
async function kept(scripts: Readonly<Record<string, Script>>, policy: Partial<ToolPolicy> = {}) {
  const server = await startScriptedServer(scripts);
  onTestFinished(server.close);
  const store = replaceable(await openMemoryStore("memory:"));
  const said: string[] = [];
  const log = createLog("warn", { write: (line) => void said.push(line) });
  const { listen, limits, servers } = configFor({ upstream: server.url, policy });
  const [config] = servers;
  if (config === undefined) throw new Error("there is a server");
  const agents = upstreamAgents();
  const routes = new Routes(servers, {
    open: (server) =>
      new Upstream({
        config: server.upstream,
        agents,
        clientInfo: { name: "test", version: "0" },
        maxMessageBytes: 1_000_000,
        log,
      }),
    log,
    isHeld: () => false,
    onGone: () => {},
  });
  const engine = new TaskEngine({ store, log });
  const held = new CallsAwaitingInput(engine);
  const proxy = new ReverseProxy();
  const { signal: stopping } = new AbortController();
  const quotas = new Quotas(limits);
  const handlers = handlersFor({
    engine,
    awaitingInput: held,
    proxy,
    clientStreams: new ClientStreams(engine),
    streams: new OpenStreams(limits.keepAliveMs),
    quotas,
    pollThrottle: new PollThrottle({ watch: (id, changed) => engine.watch(id, changed) }),
    drain: new Drain(limits),
    fallback: new Fallback(await store.secret()),
    newCall: plainCall,
    stopping,
  });
  const endpoint = mcpEndpoint({
    guard: () => undefined,
    identify: anonymous,
    handlers,
    bytes: quotas.bytes,
    report: engine.report,
    ...limits,
  });
  const http = httpServer(gatewayListener({ routes: () => routes.byPath, endpoint }));
  http.listen(0, listen.host);
  await once(http, "listening");
  onTestFinished(async () => {
    http.closeAllConnections();
    http.close();
    await engine.close();
    held.close();
    proxy.close();
    await routes.close();
    await agents.destroy();
    await store.close();
  });
  const url = new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}${config.path}`);
  return { server, store, said, user: new ModernClient(url, { capabilities: EVERYTHING }) };
}

type Replaceable = { -readonly [Key in keyof TaskStore]: TaskStore[Key] };

/** The same store, with methods that may be taken out and put back. */
function replaceable(store: TaskStore): Replaceable {
  return {
    url: store.url,
    me: store.me,
    isLasting: store.isLasting,
    isSealed: store.isSealed,
    isWritable: store.isWritable,
    holdsLease: store.holdsLease,
    newId: () => store.newId(),
    create: (task, id) => store.create(task, id),
    createOnce: (task, id) => store.createOnce(task, id),
    read: (id, reader) => store.read(id, reader),
    ending: (id) => store.ending(id),
    list: (owner, page) => store.list(owner, page),
    newest: (limit, after) => store.newest(limit, after),
    replicas: () => store.replicas(),
    outbox: store.outbox,
    subscriptions: store.subscriptions,
    sessionNotes: store.sessionNotes,
    aliveReplicas: () => store.aliveReplicas(),
    restore: (task, recipe) => store.restore(task, recipe),
    update: (task, change) => store.update(task, change),
    takeOver: (task, isUnsent) => store.takeOver(task, isUnsent),
    giveUp: (task) => store.giveUp(task),
    end: (task, outcome) => store.end(task, outcome),
    answer: (task, key, response) => store.answer(task, key, response),
    answers: (id, keys) => store.answers(id, keys),
    isAlive: (replica) => store.isAlive(replica),
    isAlone: () => store.isAlone(),
    storedCall: (id) => store.storedCall(id),
    tell: (task) => store.tell(task),
    isTold: (id) => store.isTold(id),
    orphans: (visit) => store.orphans(visit),
    secret: () => store.secret(),
    leave: () => store.leave(),
    watch: (listener) => store.watch(listener),
    close: () => store.close(),
  };
}
