/** What a gateway does that is about to stop, and what it does no longer. */

import { describe, expect, test } from "vitest";
import { Poller, STOPPING } from "../support/draining.ts";
import { LegacyWire, WireStream } from "../support/legacy-wire.ts";
import { ModernClient } from "../support/modern-client.ts";
import { complete, modernStory } from "../support/modern-server.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { count, story, textResult } from "../support/story.ts";
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
  test("is answered what it asks of its task until the end, and has its connection closed after each answer", async () => {
    const { user, server, gateway } = await story(SILENT, ALWAYS);
    const { taskId } = await user.callTool("t");
    const call = await server.arrival("tools/call");
    const poller = new Poller(user, taskId);
    await poller.more(3);
    const before = poller.answers.length;
    const closed = gateway.close();
    await poller.more(20);
    await finish({ call, closed });
    expect(["ECONNREFUSED", "ECONNRESET"]).toContain((await poller.over).code);

    const { answers } = poller;
    expect(poller.told.filter((told) => told !== "completed")).toEqual(["working"]);
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
    expect(await user.task(taskId)).toMatchObject({ status: "working" });
    call.json(complete(textResult("done")));
    await closed;
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

  test("is told how a task ended, but does not wait here until one ends", async () => {
    const { url, server, gateway } = await story(SILENT, ALWAYS);
    const legacy = await LegacyWire.connect(url);
    const first = await legacy.begin("first");
    (await server.arrival("tools/call")).json(textResult("first"));
    await legacy.taskThat(first.taskId, "completed");
    const { taskId } = await legacy.begin("second");
    const call = await server.arrival("tools/call", 2);
    const closed = gateway.close();
    expect(await legacy.result("tasks/result", { taskId: first.taskId })).toMatchObject(textResult("first"));
    expect(await legacy.send("tasks/result", { taskId })).toMatchObject(STOPPING);
    await finish({ call, closed });
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
