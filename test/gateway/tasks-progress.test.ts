import { expect, test } from "vitest";
import { isObject } from "../../src/protocol/jsonrpc.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import type { Script } from "../support/scripted-server.ts";
import { count, gate, story, textOf, textResult } from "../support/story.ts";

const LOG_LEVEL = "io.modelcontextprotocol/logLevel";
const NEVER = { policy: { mode: "never" } } as const;

/** Says everything it can say before it answers. */
const talks: Script = (call) => {
  const progressToken = progressTokenOf(call);
  const stream = call.sse();
  stream.notify("notifications/progress", { progressToken, progress: 1, total: 3, message: "one" });
  stream.notify("notifications/progress", { progressToken: "somebody's", progress: 9 });
  stream.notify("notifications/progress", { progressToken, progress: "nonsense" });
  stream.notify("notifications/message", { level: "debug", data: "detail" });
  stream.notify("notifications/message", { level: "warning", logger: "x", data: { careful: true } });
  stream.notify("notifications/tools/list_changed");
  stream.notify("notifications/progress", { progressToken, progress: 2 });
  setImmediate(() => stream.event(call.answer(textResult("done"))).end());
};
const LOGGING = { capabilities: { tools: {}, logging: {} } } as const;

test("progress from before there was a task is what its handle says", async () => {
  const { user, server } = await story({
    "tools/call": (call) => {
      const progressToken = progressTokenOf(call);
      call
        .sse()
        .notify("notifications/progress", { progressToken, progress: 1, total: 3, message: "warming up" });
    },
  });
  expect(await user.callTool("slow")).toMatchObject({
    resultType: "task",
    statusMessage: "warming up (1 of 3)",
  });
  expect(count(server, "tools/call")).toBe(1);
});

test("progress becomes the task's status message", async () => {
  const steps = [gate(), gate(), gate()];
  const { user } = await story(
    {
      "tools/call": async (call) => {
        const progressToken = progressTokenOf(call);
        const stream = call.sse();
        stream.notify("notifications/progress", {
          progressToken,
          progress: 1,
          total: 3,
          message: "warming up",
        });
        await steps[0]?.opened;
        stream.notify("notifications/progress", { progressToken, progress: 2, total: 3 });
        await steps[1]?.opened;
        stream.notify("notifications/progress", { progressToken, progress: 2.5 });
      },
    },
    { policy: { mode: "always" } },
  );
  const { taskId } = await user.callTool("t", {}, { meta: { progressToken: "mine" } });
  const says = (message: string) => user.taskWhen(taskId, ({ statusMessage }) => statusMessage === message);
  const first = await says("warming up (1 of 3)");
  expect(first.status).toBe("working");
  steps[0]?.open();
  const second = await says("2 of 3");
  expect(Date.parse(second.lastUpdatedAt)).toBeGreaterThanOrEqual(Date.parse(first.lastUpdatedAt));
  steps[1]?.open();
  await says("2.5");
});

test.each(["mine", 0, 7])(
  "a client that waits is told of progress under its own token, %j",
  async (progressToken) => {
    const { user, server } = await story({ "tools/call": talks }, NEVER, LOGGING);
    const { before, message } = await user.send("tools/call", { name: "t" }, { meta: { progressToken } });
    expect(before).toEqual([
      {
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { progressToken, progress: 1, total: 3, message: "one" },
      },
      { jsonrpc: "2.0", method: "notifications/progress", params: { progressToken, progress: 2 } },
    ]);
    expect(textOf(message.result)).toBe("done");
    const sent = (await server.arrival("tools/call")).message;
    expect(sent.params?._meta).toEqual({ progressToken: sent.id });
    expect(count(server, "logging/setLevel")).toBe(0);
  },
);

test("a client that asks for log messages gets those of its level, and no others", async () => {
  const { user, server } = await story(
    { "tools/call": talks, "logging/setLevel": (call) => call.json({}) },
    NEVER,
    LOGGING,
  );
  const { before } = await user.send("tools/call", { name: "t" }, { meta: { [LOG_LEVEL]: "info" } });
  expect(before).toEqual([
    {
      jsonrpc: "2.0",
      method: "notifications/message",
      params: { level: "warning", logger: "x", data: { careful: true } },
    },
  ]);
  expect((await server.arrival("logging/setLevel")).message.params).toMatchObject({ level: "info" });

  // The session keeps its level; the next caller did not ask for anything.
  expect((await user.send("tools/call", { name: "t" })).before).toEqual([]);
  const verbose = await user.send("tools/call", { name: "t" }, { meta: { [LOG_LEVEL]: "debug" } });
  expect(verbose.before.map(({ params }) => params.level)).toEqual(["debug", "warning"]);
  expect(count(server, "logging/setLevel")).toBe(2);
});

test("a server that does not log is not asked to, and one that is silent about it is called all the same", async () => {
  const meta = { [LOG_LEVEL]: "info" };
  const without = await story({ "tools/call": talks }, NEVER);
  expect((await without.user.send("tools/call", { name: "t" }, { meta })).before).toHaveLength(1);
  expect(count(without.server, "logging/setLevel")).toBe(0);

  const refusing = await story({ "tools/call": talks }, NEVER, LOGGING);
  expect((await refusing.user.send("tools/call", { name: "t" }, { meta })).before).toHaveLength(1);
  expect(count(refusing.server, "logging/setLevel")).toBe(1);
});

test("a call that is cancelled while the log level is being set is never sent", async () => {
  const asked = gate();
  const { user, server } = await story(
    {
      "logging/setLevel": async (call) => {
        await asked.opened;
        call.json({});
      },
    },
    { policy: { mode: "always" } },
    LOGGING,
  );
  const { taskId } = await user.callTool("t", {}, { meta: { [LOG_LEVEL]: "info" } });
  await server.arrival("logging/setLevel");
  await user.result("tasks/cancel", { taskId });
  asked.open();
  await server.arrival("DELETE");
  expect(count(server, "tools/call")).toBe(0);
});

test("a client that can only read JSON is told nothing but the result", async () => {
  const { user } = await story({ "tools/call": talks }, { ...NEVER, limits: { keepAliveMs: 5 } });
  const answer = await user.send(
    "tools/call",
    { name: "t" },
    { meta: { progressToken: 1 }, headers: { accept: "application/json" } },
  );
  expect(answer.headers["content-type"]).toBe("application/json");
  expect(textOf(answer.message.result)).toBe("done");
});

function progressTokenOf({ message }: Exchange): unknown {
  const meta = message.params?._meta;
  return isObject(meta) ? meta.progressToken : undefined;
}
