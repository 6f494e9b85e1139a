import { expect, test } from "vitest";
import type { Script } from "../support/scripted-server.ts";
import {
  callSessions,
  count,
  EVERYTHING,
  expectCancelled,
  form,
  story,
  textOf,
  textResult,
} from "../support/story.ts";

const ECHO: Record<string, Script> = { "tools/call": (call) => call.text(String(call.message.params?.name)) };

test.each([404, 400] as const)(
  "an idle session that was lost (%i) is opened again, and the call is sent once",
  async (lostStatus) => {
    // However long it takes to open a session on a busy machine, it is the answer that is looked at, and no task.
    const { user, server } = await story(ECHO, { policy: { mode: "never" } }, { lostStatus });
    await user.callTool("before");
    server.sessions.clear();
    expect(textOf(await user.callTool("after"))).toBe("after");
    expect(textOf(await user.callTool("again"))).toBe("again");
    // The second one was refused; nothing was served twice.
    expect(
      server.received.filter(
        ({ method, response }) => method === "tools/call" && response.statusCode === 200,
      ),
    ).toHaveLength(3);
    expect(count(server, "tools/call")).toBe(4);
  },
);

test("a server that refuses every session is not asked for ever", async () => {
  const { user, server } = await story({
    "tools/call": (call) => call.error(-32001, "Session not found", { status: 404 }),
  });
  const { message } = await user.send("tools/call", { name: "t" });
  expect(message.error).toMatchObject({ code: -32603, message: expect.stringContaining("HTTP 404") });
  expect(count(server, "tools/call")).toBe(1);
});

test("lists find a lost session out and ask again, several at once", async () => {
  const { user, server } = await story(ECHO);
  await user.result("tools/list");
  server.sessions.clear();
  const lists = await Promise.all([1, 2, 3, 4].map(() => user.result("tools/list")));
  expect(lists.map(({ tools }) => tools.length)).toEqual([1, 1, 1, 1]);
});

test("a call whose session is lost while it runs fails, and is never sent again", async () => {
  const { user, server } = await story(
    {
      "tools/call": (call) => {
        if (call.message.params?.name === "first") return call.text("fine");
        server.sessions.clear();
        call.sse().event({ jsonrpc: "2.0", method: "notifications/message", params: {} }, { id: "1" }).cut();
      },
    },
    { policy: { mode: "always" } },
  );
  await user.settled((await user.callTool("first")).taskId);
  const { taskId } = await user.callTool("second");
  const { status, error } = await user.settled(taskId);
  expect(status).toBe("failed");
  expect(error.message).toMatch(/could not be resumed.*404/);
  expect(count(server, "tools/call")).toBe(2);
});

test("a session whose call was cancelled is not used again", async () => {
  const { user, server } = await story(
    {
      "tools/call": async (call) => {
        if (call.message.params?.name === "slow") await call.cancelled;
        call.text("done");
      },
    },
    { tools: [{ match: "slow", mode: "always" }] },
  );
  const { taskId } = await user.callTool("slow");
  const call = await server.arrival("tools/call");
  await user.result("tasks/cancel", { taskId });
  await expectCancelled(server, call);
  await user.callTool("quick");
  const [slow, quick] = callSessions(server);
  expect(quick).not.toBe(slow);
  await server.until(
    () =>
      server.received.some(
        ({ method, headers }) => method === "DELETE" && headers["mcp-session-id"] === slow,
      ),
    "the busy session to be ended",
  );
});

test("what a server asks after its answer is nobody's question", async () => {
  const { client, server } = await story(
    {
      "tools/call": async (call) => {
        if (call.message.params?.name === "next") return;
        const stream = call.sse();
        stream.notify("notifications/message", { level: "info", data: "not all in one piece" });
        stream.event(call.answer(textResult("answered")));
        const next = await server.arrival("tools/call", 2);
        void stream.ask("elicitation/create", form("too late"));
        stream.end();
        await stream.closed;
        next.text("next");
      },
    },
    { policy: { mode: "never" } },
  );
  const user = client({ capabilities: EVERYTHING });
  expect(textOf(await user.callTool("talks"))).toBe("answered");
  expect(textOf(await user.callTool("next"))).toBe("next");
});
