/** What a gateway does that is about to stop, and what it does no longer. */

import { describe, expect, test } from "vitest";
import { draining, Poller, STOPPING } from "../support/draining.ts";
import { LegacyWire, WireStream } from "../support/legacy-wire.ts";
import { ModernClient } from "../support/modern-client.ts";
import { complete, modernStory } from "../support/modern-server.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { accept, asksOnce, count, story, textResult } from "../support/story.ts";
import { said, talks } from "./paired/talks.ts";

/** Longer than any test: what ends before was not waited for. */
const PATIENT = { limits: { drainTimeoutMs: 60_000 } };
const ALWAYS = { ...PATIENT, policy: { mode: "always" } } as const;
/** Answers when the test does. */
const SILENT = { "tools/call": () => undefined };

/** A gateway that is about to stop, and waits for the one call that it has. */
async function stopping() {
  const { url, server, user, gateway } = await story(SILENT, ALWAYS);
  const { taskId } = await user.callTool("t");
  const call = await server.arrival("tools/call");
  const closed = gateway.close();
  return { url, server, user, taskId, call, closed };
}

async function finish({ call, closed }: { call: Exchange; closed: Promise<void> }): Promise<void> {
  call.json(textResult("done"));
  await closed;
}

describe("a modern client", () => {
  test("has its polls answered when its task has ended, and its connection closed after each answer", async () => {
    const { user, server, gateway } = await story(SILENT, ALWAYS);
    const { taskId } = await user.callTool("t");
    const call = await server.arrival("tools/call");
    const poller = new Poller(user, taskId);
    await poller.more(3);
    const closed = gateway.close();
    await draining(user);
    const before = poller.answers.length;
    await finish({ call, closed });
    expect(["ECONNREFUSED", "ECONNRESET", "UND_ERR_SOCKET"]).toContain((await poller.over).code);

    const { answers } = poller;
    expect(poller.told).toEqual(["working", "completed"]);
    // One of them may have been under way when the gateway was told.
    for (const { headers } of answers.slice(before + 1)) expect(headers.connection).toBe("close");
    expect(answers[0]?.headers.connection).not.toBe("close");
  });

  test("can answer and cancel its tasks", async () => {
    const { user, server, gateway } = await story(SILENT, ALWAYS);
    const { taskId } = await user.callTool("cancelled");
    await server.arrival("tools/call");
    await user.callTool("t");
    const call = await server.arrival("tools/call", 2);
    const closed = gateway.close();
    await user.result("tasks/update", { taskId, inputResponses: {} });
    await user.result("tasks/cancel", { taskId });
    expect(await user.task(taskId)).toMatchObject({ status: "cancelled" });
    await server.arrival("notifications/cancelled");
    await finish({ call, closed });
  });

  test("gets lists", async () => {
    const drained = await stopping();
    expect(await drained.user.result("tools/list")).toMatchObject({ tools: expect.anything() });
    await finish(drained);
  });

  test.for([
    ["a call", "tools/call", { name: "t" }],
    ["a stream to listen on", "subscriptions/listen", { notifications: { toolsListChanged: true } }],
  ] as const)("is refused %s, in a way that others know what to do", async ([, method, params]) => {
    const drained = await stopping();
    expect(await drained.user.send(method, params)).toMatchObject(STOPPING);
    expect(count(drained.server, "tools/call")).toBe(1);
    await finish(drained);
  });

  test("of a modern server is refused a call that would pass", async () => {
    const scripts = {
      ...SILENT,
      "resources/read": (call: Exchange) => void call.json(complete({ contents: [] })),
    };
    const { url, server, user, gateway } = await modernStory(scripts, ALWAYS);
    const { taskId } = await user.callTool("t");
    const call = await server.arrival("tools/call");
    const closed = gateway.close();
    const without = new ModernClient(url, { capabilities: {} });
    expect(await without.send("tools/call", { name: "t" })).toMatchObject(STOPPING);
    expect(await without.result("resources/read", { uri: "a:b" })).toMatchObject({ contents: [] });
    expect(count(server, "tools/call")).toBe(1);
    const poll = user.task(taskId);
    call.json(complete(textResult("done")));
    expect(await poll).toMatchObject({ status: "completed" });
    await closed;
  });
});

describe("whoever follows a task", () => {
  /** As real clients are told. */
  const POLICY = { mode: "always", pollIntervalMs: 30_000, maxPollIntervalMs: 30_000 } as const;

  test("finds its result, though the call ended long before the client was to come back", async () => {
    const { user, server, gateway } = await story(SILENT, { ...PATIENT, policy: POLICY });
    const { taskId } = await user.callTool("t");
    const call = await server.arrival("tools/call");
    const closed = gateway.close();
    call.json(textResult("done"));
    await call.closed;
    for (let request = 0; request < 50; request += 1) await user.result("tools/list");
    expect(await user.task(taskId)).toMatchObject({ status: "completed" });
    await closed;
  });

  test("finds its result in a session of 2025-11-25, which takes two requests", async () => {
    const { url, server, gateway } = await story(SILENT, { ...PATIENT, policy: POLICY });
    const user = await LegacyWire.connect(url);
    const { taskId } = await user.begin("t");
    const call = await server.arrival("tools/call");
    const closed = gateway.close();
    const poll = user.task(taskId);
    call.json(textResult("done"));
    expect(await poll).toMatchObject({ status: "completed" });
    expect(await user.result("tasks/result", { taskId })).toMatchObject(textResult("done"));
    await closed;
  });

  test("is told, when its task is left behind, to come back after the restart", async () => {
    const limits = { drainTimeoutMs: 300, restartGapMs: 60_000 };
    const { user, server, gateway } = await story(SILENT, { ...ALWAYS, limits });
    const { taskId, pollIntervalMs } = await user.callTool("t");
    await server.arrival("tools/call");
    const closed = gateway.close();
    const poll = await user.task(taskId);
    expect(poll).toMatchObject({ status: "working" });
    expect(pollIntervalMs).toBeLessThan(60_000);
    expect(poll.pollIntervalMs).toBeGreaterThanOrEqual(60_000);
    await closed;
  });

  test("is told at once what its task asks meanwhile", async () => {
    const { user, gateway } = await story({ "tools/call": asksOnce }, ALWAYS);
    const { taskId } = await user.callTool("t");
    await user.taskWhen(taskId, ({ status }) => status === "input_required");
    const closed = gateway.close();
    await draining(user);
    expect(await user.task(taskId)).toMatchObject({ status: "input_required" });
    await user.result("tasks/update", { taskId, inputResponses: { name: accept({ name: "Ada" }) } });
    expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
    await closed;
  });

  test("is not waited for once it has what there is", async () => {
    const policy = { mode: "always", pollIntervalMs: 600_000, maxPollIntervalMs: 600_000 } as const;
    const { user, gateway } = await story(
      { "tools/call": (call) => call.text("done") },
      { ...PATIENT, policy },
    );
    const { taskId } = await user.callTool("t");
    await user.settled(taskId);
    // Ten minutes, if it were.
    await gateway.close();
  });
});

describe("a legacy client", () => {
  const CALL = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "t" } };

  test.for([
    ["a call", CALL],
    ["a batch with a call", [{ jsonrpc: "2.0", id: 2, method: "ping" }, CALL]],
    ["a call that is to become a task", { ...CALL, params: { name: "t", task: {} } }],
  ] as const)("is refused %s, which has not reached the server", async ([, message]) => {
    const { url, server, user, gateway } = await story(SILENT, ALWAYS);
    const legacy = await LegacyWire.connect(url);
    await user.callTool("t");
    const call = await server.arrival("tools/call");
    const closed = gateway.close();
    expect(await legacy.post(message).answer).toMatchObject(STOPPING);
    expect(count(server, "tools/call")).toBe(1);
    await finish({ call, closed });
  });

  test("goes on with everything else", async () => {
    const drained = await stopping();
    const legacy = await LegacyWire.connect(drained.url);
    expect(await legacy.result("tools/list")).toMatchObject({ tools: expect.anything() });
    await finish(drained);
  });

  test("is told how a task ended, and waits here until one ends", async () => {
    const { url, server, gateway } = await story(SILENT, ALWAYS);
    const legacy = await LegacyWire.connect(url);
    const first = await legacy.begin("first");
    (await server.arrival("tools/call")).json(textResult("first"));
    await legacy.taskThat(first.taskId, "completed");
    const { taskId } = await legacy.begin("second");
    const call = await server.arrival("tools/call", 2);
    const closed = gateway.close();
    expect(await legacy.result("tasks/result", { taskId: first.taskId })).toMatchObject(textResult("first"));
    const second = legacy.send("tasks/result", { taskId });
    await finish({ call, closed });
    expect((await second).message.result).toMatchObject(textResult("done"));
  });

  test("in a pair begins no call and no other pair, and hears of what it has begun", async () => {
    const { url, gateway } = await talks({ limits: { drainTimeoutMs: 500 } });
    const user = await LegacyWire.connect(url);
    const waiting = user.open("tools/call", { name: "wait", arguments: { key: "a" } });
    await user.result("x/heard");
    const closed = gateway.close();
    expect(await user.send("tools/call", { name: "pid" })).toMatchObject(STOPPING);
    expect((await user.send("ping")).status).toBe(200);
    const initialize = { jsonrpc: "2.0", id: 1, method: "initialize", params: {} };
    expect(await new WireStream(url, "POST", {}, initialize).answer).toMatchObject(STOPPING);
    const { error } = (await waiting.answer).message;
    // It may have run: to send it again is not for us to recommend.
    expect(error).toEqual({ code: -32603, message: expect.stringContaining("is not known") });
    await closed;
  });

  test("in a pair has the answer to what ends in time", async () => {
    const { url, gateway } = await talks(PATIENT);
    const user = await LegacyWire.connect(url);
    const working = user.open("tools/call", { name: "work", arguments: { ms: 100 } });
    await user.result("x/heard");
    const closed = gateway.close();
    expect(said((await working.answer).message.result)).toBe("worked");
    await closed;
  });
});

describe("the gateway waits", () => {
  test("for nobody who came later", async () => {
    const { url, server, user, gateway } = await story({ ...SILENT, "x/late": () => undefined }, ALWAYS);
    const legacy = await LegacyWire.connect(url);
    await user.callTool("t");
    const call = await server.arrival("tools/call");
    const closed = gateway.close();
    const late = legacy.open("x/late");
    await server.arrival("x/late");
    // It would be for a minute, if it were waited for.
    await finish({ call, closed });
    expect(await late.answer).toMatchObject({ status: 502, message: { error: { code: -32603 } } });
  });

  test("no longer than it has time, whoever goes on asking", async () => {
    const settings = { ...ALWAYS, limits: { drainTimeoutMs: 300 } };
    const { user, gateway, server } = await story(SILENT, settings);
    const { taskId } = await user.callTool("t");
    await server.arrival("tools/call");
    const pollers = [1, 2, 3].map(() => new Poller(user, taskId));
    await Promise.all(pollers.map((poller) => poller.more(3)));
    await gateway.close();
    for (const { over } of pollers) await over;
  });

  test.for(["modern", "legacy"] as const)(
    "for the %s client whose call is under way, and that answer is the last on its connection",
    async (era) => {
      const { url, server, gateway } = await story(SILENT, PATIENT);
      const modern = new ModernClient(url, { capabilities: {} });
      const client = era === "modern" ? modern : await LegacyWire.connect(url);
      const answer = client.send("tools/call", { name: "t" });
      const call = await server.arrival("tools/call");
      const closed = gateway.close();
      await finish({ call, closed });
      expect(await answer).toMatchObject({
        status: 200,
        headers: { connection: "close" },
        message: { result: textResult("done") },
      });
    },
  );
});
