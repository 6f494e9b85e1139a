import { createHash } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { Conditions } from "../support/conditions.ts";
import { configFor } from "../support/gateway.ts";
import { byName, LegacyWire } from "../support/legacy-wire.ts";
import { type Json, ModernClient } from "../support/modern-client.ts";
import { type Script, startScriptedServer } from "../support/scripted-server.ts";
import { accept, asksOnce, EVERYTHING, textResult } from "../support/story.ts";

const HIDDEN = "an-argument-or-an-answer";
const TASK = /^[0-9a-f]{12}$/;

interface Stage {
  readonly url: URL;
  readonly ada: ModernClient;
  readonly bob: ModernClient;
  /** A session of Ada's, of the older generation. */
  wire(): Promise<LegacyWire>;
  /** Lets the calls of `slow` end. */
  finish(): void;
}

/** Each tells of one task, unless it says otherwise; who is meant is Ada. */
const EVENTS: readonly {
  readonly what: string;
  readonly act: (stage: Stage) => Promise<unknown>;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}[] = [
  {
    what: "a task that completes, and is read",
    act: async ({ ada, finish }) => {
      const { taskId } = await ada.callTool("slow", { secret: HIDDEN });
      finish();
      await ada.settled(taskId);
      return taskId;
    },
    lines: [
      { audit: "created", tool: "slow" },
      { audit: "ended", tool: "slow", kind: "completed" },
      { audit: "read", tool: "slow", method: "tasks/get" },
    ],
  },
  {
    what: "a task whose server asks, and is answered",
    act: async ({ ada, finish }) => {
      const { taskId } = await ada.callTool("asks-late");
      finish();
      const task = await ada.taskWhen(taskId, ({ status }) => status === "input_required");
      const keys = Object.keys(task.inputRequests);
      const inputResponses = Object.fromEntries(keys.map((key) => [key, accept({ name: HIDDEN })]));
      await ada.result("tasks/update", { taskId, inputResponses });
      await ada.settled(taskId);
      return taskId;
    },
    lines: [
      { audit: "created", tool: "asks-late" },
      { audit: "read", method: "tasks/get" },
      { audit: "answered", answers: 1 },
      { audit: "ended", kind: "completed" },
    ],
  },
  {
    what: "a round of a call, which is a task that was not told",
    act: async ({ ada }) => {
      const { requestState, inputRequests } = await ada.callTool("asks");
      const keys = Object.keys(inputRequests);
      const inputResponses = Object.fromEntries(keys.map((key) => [key, accept({ name: HIDDEN })]));
      await ada.callTool("asks", {}, { params: { requestState, inputResponses } });
      return undefined;
    },
    lines: [
      { audit: "created", tool: "asks", held: true },
      { audit: "answered", answers: 1 },
      { audit: "ended", kind: "completed" },
    ],
  },
  {
    what: "a state that was made for other arguments",
    act: async ({ ada }) => {
      const { requestState } = await ada.callTool("asks");
      await ada.send("tools/call", { name: "asks", arguments: { other: 1 }, requestState });
      return undefined;
    },
    lines: [
      { audit: "created", held: true },
      { audit: "refused", reason: "foreign state" },
    ],
  },
  {
    what: "a task that is cancelled",
    act: async ({ ada }) => {
      const { taskId } = await ada.callTool("slow");
      await ada.result("tasks/cancel", { taskId });
      return taskId;
    },
    lines: [{ audit: "created" }, { audit: "cancelled" }, { audit: "ended", kind: "cancelled" }],
  },
  {
    what: "a task that fails, listened to",
    act: async ({ ada, finish }) => {
      const { taskId } = await ada.callTool("fails");
      const heard: Json[] = [];
      const done = new AbortController();
      const notifications = { taskIds: [taskId] };
      for await (const message of ada.stream(
        "subscriptions/listen",
        { notifications },
        { signal: done.signal },
      )) {
        heard.push(message.params?.status);
        if (message.params?.status === "working") finish();
        if (message.params?.status === "failed") done.abort();
      }
      return taskId;
    },
    lines: [
      { audit: "created" },
      { audit: "read", method: "subscriptions/listen" },
      { audit: "ended", kind: "failed" },
    ],
  },
  {
    what: "somebody else's task, asked for in every way",
    act: async ({ ada, bob }) => {
      const { taskId } = await ada.callTool("slow");
      for (const method of ["tasks/get", "tasks/cancel"]) await bob.send(method, { taskId });
      await bob.send("tasks/update", { taskId, inputResponses: {} });
      return taskId;
    },
    lines: [
      { audit: "created" },
      { audit: "refused", reason: "foreign task", caller: "bob" },
      { audit: "refused", reason: "foreign task", caller: "bob" },
      { audit: "refused", reason: "foreign task", caller: "bob" },
    ],
  },
  {
    what: "a task that there is not",
    act: ({ ada }) => ada.send("tasks/get", { taskId: "A".repeat(24) }),
    lines: [{ audit: "refused", reason: "unknown task" }],
  },
  {
    what: "a request from a page that is not allowed",
    act: ({ ada }) => ada.send("tools/list", {}, { headers: { origin: "http://elsewhere.example" } }),
    lines: [{ audit: "refused", reason: "forbidden", status: 403, code: -32600, caller: "nobody" }],
  },
  {
    what: "a credential that the server does not take",
    act: async ({ wire }) => {
      await (await wire()).send("prompts/list");
    },
    lines: [{ audit: "refused", reason: "no valid credential", status: 401, method: "prompts/list" }],
  },
  {
    what: "a task of 2025-11-25, read, listed and waited for",
    act: async ({ wire, finish }) => {
      const client = await wire();
      const { taskId } = await client.begin("slow");
      await client.task(taskId);
      await client.result("tasks/list");
      finish();
      await client.result("tasks/result", { taskId });
      return taskId;
    },
    lines: [
      { audit: "created" },
      { audit: "read", method: "tasks/get" },
      { audit: "read", method: "tasks/list", tasks: [expect.stringMatching(TASK)] },
      { audit: "ended", kind: "completed" },
      { audit: "read", method: "tasks/result" },
    ],
  },
  {
    what: "a task of 2025-11-25 whose server asks",
    act: async ({ wire }) => {
      const client = await wire();
      const { taskId } = await client.begin("asks");
      const waiting = client.open("tasks/result", { taskId });
      const { id } = await waiting.heard("elicitation/create");
      await client.respond(id, { result: accept({ name: HIDDEN }) });
      await waiting.answer;
      return taskId;
    },
    lines: [
      { audit: "created" },
      { audit: "answered", answers: 1 },
      { audit: "ended", kind: "completed" },
      { audit: "read", method: "tasks/result" },
    ],
  },
  {
    what: "a task of 2025-11-25 that is cancelled",
    act: async ({ wire }) => {
      const client = await wire();
      const { taskId } = await client.begin("slow");
      await client.result("tasks/cancel", { taskId });
      return taskId;
    },
    lines: [{ audit: "created" }, { audit: "cancelled" }, { audit: "ended", kind: "cancelled" }],
  },
];

test.each(EVENTS)("$what", async ({ act, lines }) => {
  const { stage, audited, text } = await begin({ isAudited: true });
  const taskId = await act(stage);
  const found = await audited(lines.length);
  // How often somebody polls is not the point.
  const isFirst = ({ audit, method }: Json, n: number) =>
    audit !== "read" || n === found.findIndex((line) => line.audit === audit && line.method === method);
  const told = found.filter(isFirst).map((line) => ({ caller: "nobody", ...line }));
  const expected = lines.map((line) => ({ caller: "ada", route: "tested", ...line }));
  expect(told).toHaveLength(expected.length);
  expect(told.toSorted(byAudit)).toMatchObject(expected.toSorted(byAudit));
  const names = new Set(found.flatMap(({ task }) => (task === undefined ? [] : [task])));
  if (typeof taskId === "string")
    expect([...names]).toEqual([createHash("sha256").update(taskId).digest("hex").slice(0, 12)]);
  expect(text()).not.toContain(HIDDEN);
  expect(text()).not.toContain(String(taskId ?? "nothing at all"));
});

test("what a gateway leaves behind is lost", async () => {
  const { stage, audited, close } = await begin({ isAudited: true });
  await stage.ada.callTool("slow");
  await close();
  expect(await audited(2)).toMatchObject([{ audit: "created" }, { audit: "ended", kind: "lost" }]);
});

test("callers can be named by a hash that is the same for the same one", async () => {
  const { stage, audited, text } = await begin({ isAudited: true, hashesCallers: true });
  const first = await stage.ada.callTool("slow");
  await stage.ada.callTool("slow");
  await stage.bob.send("tasks/get", { taskId: first.taskId });
  const [one, two, three] = await audited(3);
  expect(one?.caller).toMatch(/^[\w-]{22}$/);
  expect(two?.caller).toBe(one?.caller);
  expect(three?.caller).toMatch(/^[\w-]{22}$/);
  expect(three?.caller).not.toBe(one?.caller);
  expect(text()).not.toMatch(/"(?:ada|bob)"/);
});

test("nothing is written unless it is asked for", async () => {
  const { stage, text, close } = await begin({ isAudited: false });
  await stage.ada.callTool("slow");
  await stage.ada.send("tasks/get", { taskId: "unknown" });
  await close();
  expect(text()).not.toContain("audit");
});

async function begin(log: Partial<Config["log"]>) {
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const tools: Readonly<Record<string, Script>> = {
    slow: async (call) => {
      await Promise.race([finished, call.cancelled]);
      call.json(textResult(HIDDEN));
    },
    fails: async (call) => {
      await finished;
      call.error(-32000, HIDDEN);
    },
    asks: asksOnce,
    "asks-late": async (call) => {
      const stream = call.sse();
      await finished;
      const { ask } = stream;
      await ask.call(stream, "elicitation/create", { message: HIDDEN, requestedSchema: { type: "object" } });
      stream.event(call.answer(textResult(HIDDEN)));
      stream.end();
    },
  };
  const server = await startScriptedServer(
    {
      "tools/call": (call) => tools[String(call.message.params?.name)]?.(call),
      "prompts/list": (call) => call.reply(401, {}, { "WWW-Authenticate": "Bearer" }),
    },
    { stateless: false },
  );
  onTestFinished(server.close);
  const lines: string[] = [];
  const conditions = new Conditions(() => `written so far: ${lines.join("")}`);
  const write = (line: string) => {
    lines.push(line);
    conditions.check();
  };
  // What asks at once is not to become a task first, however busy the machine.
  const config = configFor({ upstream: server.url, log, tools: [{ match: "asks", waitForMs: 60_000 }] });
  // Not even the level keeps the lines from being written.
  const gateway = await startGateway(config, { identify: byName, log: createLog("error", { write }) });
  let closing: Promise<void> | undefined;
  const close = () => (closing ??= gateway.close());
  onTestFinished(close);
  const url = new URL(gateway.routes[0]?.url ?? "");
  const as = (name: string) =>
    new ModernClient(url, { capabilities: EVERYTHING, headers: { "x-user": name } });
  const read = (): Json[] => lines.map((line) => JSON.parse(line)).filter(({ audit }) => audit !== undefined);
  return {
    stage: {
      url,
      ada: as("ada"),
      bob: as("bob"),
      wire: () => LegacyWire.connect(url, { headers: { "x-user": "ada" } }),
      finish,
    } satisfies Stage,
    /** The lines, once there are as many. */
    audited: (count: number) =>
      conditions.found(() => (read().length >= count ? read() : undefined), `${count} lines`),
    text: () => lines.join(""),
    close,
  };
}

/** What comes of itself, as an end, may be written before or after what a client does at the same time. */
function byAudit(one: Json, other: Json): number {
  return key(one) < key(other) ? -1 : 1;
}

function key({ audit, method, caller }: Json): string {
  return `${audit} ${method} ${caller}`;
}
