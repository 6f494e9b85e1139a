/** `taskSession` for programs. */

import { expect, onTestFinished, test } from "vitest";
import { CallFailed, taskSession } from "../../src/index.ts";
import { gatewayFor } from "../support/gateway.ts";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import { complete, modernScripts, STATELESS, said } from "../support/modern-server.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { gate, story, textResult } from "../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;
const TASK = { taskId: "one", status: "working", pollIntervalMs: 20, ttlMs: 60_000 };

test("calls tools, follows tasks and answers questions", async () => {
  const server = await startLegacyTasksServer();
  onTestFinished(server.close);
  const { url } = await gatewayFor({ upstream: server.url, ...ALWAYS });
  const asked: unknown[] = [];
  const session = await taskSession(url, {
    onQuestion: ({ method, params }) => {
      asked.push([method, params.message]);
      return { action: "accept", content: { confirm: true } };
    },
  });
  onTestFinished(() => session.close());
  expect(session).toMatchObject({ hasTasks: true, serverInfo: { name: "legacy-tasks" } });
  expect((await session.listTools()).map(({ name }) => name)).toContain("confirm_delete");
  const ids: string[] = [];
  const onTask = (id: string) => void ids.push(id);
  const result = await session.call("confirm_delete", { filename: "a.txt" }, { onTask });
  expect(result.content).toEqual([{ type: "text", text: "Deleted a.txt" }]);
  expect(asked).toEqual([["elicitation/create", "Really delete a.txt?"]]);
  const again = await session.follow(String(ids[0]));
  expect([ids.length, again.content]).toEqual([1, result.content]);
});

test("a server that gives no answer to a poll is asked again", async () => {
  let polls = 0;
  const server = await startScriptedServer(
    {
      ...modernScripts({ hasTasks: true }),
      "tools/call": (call) => call.json({ resultType: "task", ...TASK }),
      "tasks/get": (call) => {
        polls += 1;
        if (polls === 1) return call.reply(503, "starting");
        if (polls === 2) return call.cut();
        if (polls === 3) return call.error(-32603, "stopping", { status: 503, data: { retryable: true } });
        call.json(complete({ ...TASK, status: "completed", result: said("done") }));
      },
    },
    STATELESS,
  );
  onTestFinished(server.close);
  const session = await taskSession(server.url);
  onTestFinished(() => session.close());
  expect((await session.call("anything")).content).toEqual([{ type: "text", text: "done" }]);
  expect(polls).toBe(4);
});

test("an answer to a question is given again until the server has taken it", async () => {
  const inputRequests = { q: { method: "elicitation/create", params: { message: "?" } } };
  let updates = 0;
  const server = await startScriptedServer(
    {
      ...modernScripts({ hasTasks: true }),
      "tools/call": (call) =>
        call.json({ resultType: "task", ...TASK, status: "input_required", inputRequests }),
      "tasks/update": (call) => {
        updates += 1;
        if (updates === 1) return call.cut();
        call.json(complete({}));
      },
      "tasks/get": (call) => call.json(complete({ ...TASK, status: "completed", result: said("done") })),
    },
    STATELESS,
  );
  onTestFinished(server.close);
  let asked = 0;
  const onQuestion = () => {
    asked += 1;
    return { action: "accept", content: {} };
  };
  const session = await taskSession(server.url, { onQuestion });
  onTestFinished(() => session.close());
  expect((await session.call("anything")).content).toEqual([{ type: "text", text: "done" }]);
  expect([updates, asked]).toEqual([2, 1]);
});

test("a failed task is an error with the server's code, and a cancelled one has none", async () => {
  const ends = [
    { status: "failed", statusMessage: "it broke", error: { code: -32603, message: "broken" } },
    { status: "cancelled", statusMessage: "somebody cancelled it" },
  ];
  const server = await startScriptedServer(
    {
      ...modernScripts({ hasTasks: true }),
      "tasks/get": (call) => call.json(complete({ ...TASK, ...ends.shift() })),
    },
    STATELESS,
  );
  onTestFinished(server.close);
  const session = await taskSession(server.url);
  onTestFinished(() => session.close());
  const failure = await session.follow("one").catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(CallFailed);
  expect(failure).toMatchObject({ kind: "server", message: "broken", error: { code: -32603 } });
  await expect(session.follow("one")).rejects.toThrow("somebody cancelled it");
});

test("aborting a call cancels its task and gives the reason", async () => {
  const { opened, open } = gate();
  const { url, server } = await story(
    {
      "tools/call": async (call) => {
        await opened;
        call.json(textResult("late"));
      },
    },
    ALWAYS,
  );
  const session = await taskSession(url);
  onTestFinished(() => session.close());
  const over = new AbortController();
  const onTask = async () => {
    await server.arrival("tools/call");
    over.abort(new Error("enough"));
  };
  await expect(session.call("t", {}, { signal: over.signal, onTask })).rejects.toThrow("enough");
  await server.arrival("notifications/cancelled");
  open();
});

test("nobody to ask is told to the server, which cannot ask then", async () => {
  const server = await startLegacyTasksServer();
  onTestFinished(server.close);
  const { url } = await gatewayFor({ upstream: server.url, ...ALWAYS });
  const session = await taskSession(url);
  onTestFinished(() => session.close());
  await expect(session.call("confirm_delete", { filename: "a.txt" })).rejects.toBeInstanceOf(CallFailed);
});

test("a server of an older revision is named as such", async () => {
  const server = await startLegacyTasksServer();
  onTestFinished(server.close);
  await expect(taskSession(server.url)).rejects.toMatchObject({
    kind: "unreachable",
    message: expect.stringContaining("does not speak MCP 2026-07-28"),
  });
});

test("a server that is starting is waited for", async () => {
  const { "server/discover": discover = () => {}, ...scripts } = modernScripts();
  let asked = 0;
  const server = await startScriptedServer(
    {
      ...scripts,
      "server/discover": (call) => {
        asked += 1;
        if (asked === 1) return call.reply(503, "starting");
        if (asked === 2) return call.error(-32603, "starting", { data: { retryable: true } });
        return discover(call);
      },
    },
    STATELESS,
  );
  onTestFinished(server.close);
  const session = await taskSession(server.url);
  onTestFinished(() => session.close());
  expect([asked, session.instructions]).toEqual([3, "Be brief."]);
});

test("a gateway whose server does not start says why, and not that it speaks an older revision", async () => {
  const upstream = { command: process.execPath, args: ["-e", "process.exit(3)"] };
  const { url } = await gatewayFor({ upstream });
  await expect(taskSession(url)).rejects.toMatchObject({
    kind: "server",
    message: expect.stringMatching(/exited|exit code 3/),
  });
});

test("opening a session can be given up", async () => {
  const server = await startScriptedServer({ "server/discover": () => {} }, STATELESS);
  onTestFinished(server.close);
  const over = new AbortController();
  const opening = taskSession(server.url, { signal: over.signal });
  await server.arrival("server/discover");
  over.abort(new Error("enough"));
  await expect(opening).rejects.toThrow("enough");
  await server.until(() => server.pending === 0, "the probe to be let go");
});

test("a call with an idempotency key is sent again under it when its answer gets lost, and one without is not", async () => {
  const keys: unknown[] = [];
  const server = await startScriptedServer(
    {
      ...modernScripts({ hasTasks: true }),
      "tools/call": (call) => {
        const { _meta } = call.message.params as { _meta: Record<string, unknown> };
        keys.push(_meta["mcp-taskgate/idempotencyKey"]);
        if (keys.length % 2 === 1) return call.cut();
        call.json(complete(said("done")));
      },
    },
    STATELESS,
  );
  onTestFinished(server.close);
  const session = await taskSession(server.url);
  onTestFinished(() => session.close());
  const { content } = await session.call("anything", {}, { idempotencyKey: "a key for one call" });
  expect(content).toEqual([{ type: "text", text: "done" }]);
  expect(keys).toEqual(["a key for one call", "a key for one call"]);
  await expect(session.call("anything")).rejects.toThrow(CallFailed);
  expect(keys).toEqual(["a key for one call", "a key for one call", undefined]);
});
