import { expect, test } from "vitest";
import { TASKS } from "../support/modern-client.ts";
import { expectCancelled, form, story, textOf, textResult } from "../support/story.ts";

/** A task at once, so that questions become input requests of a task. */
const ALWAYS = { policy: { mode: "always" } } as const;

test.each([
  ["elicitation/create", form("?"), { elicitation: { form: {} } }, { elicitation: { url: {} } }],
  [
    "elicitation/create",
    { mode: "url", url: "https://x.example", message: "?", elicitationId: "e" },
    { elicitation: { url: {} } },
    { elicitation: {} },
  ],
  ["sampling/createMessage", { messages: [], maxTokens: 1 }, { sampling: {} }, {}],
  [
    "sampling/createMessage",
    { messages: [], maxTokens: 1, tools: [] },
    { sampling: { tools: {} } },
    { sampling: {} },
  ],
  ["roots/list", undefined, { roots: {} }, {}],
])(
  "%s, undeclared, is refused to the server and ends the call with -32021",
  async (method, params, required, declared) => {
    const { client, server } = await story({
      "tools/call": async (call) => {
        await call.sse().ask(method, params);
      },
    });
    const user = client({ capabilities: { ...TASKS, ...declared } });
    const refused = await user.send("tools/call", { name: "ask" });
    expect(refused).toMatchObject({
      status: 400,
      message: { error: { code: -32021, data: { requiredCapabilities: required } } },
    });
    expect((await server.arrival("answer")).message).toHaveProperty("error");
    await expectCancelled(server, await server.arrival("tools/call"));
  },
);

test("a task whose server asks what was not declared fails with -32021", async () => {
  const { client } = await story(
    {
      "tools/call": async (call) => {
        await call.sse().ask("roots/list");
      },
    },
    ALWAYS,
  );
  const user = client();
  const { taskId } = await user.callTool("ask");
  expect(await user.settled(taskId)).toMatchObject({ status: "failed", error: { code: -32021 } });
});

test("a server's request of another kind is no question", async () => {
  const told = await story({
    "tools/call": async (call) => {
      const response = await call.sse().ask("tasks/list");
      call.response.end(`data: ${JSON.stringify(call.answer(textResult(JSON.stringify(response))))}\n\n`);
    },
  });
  const result = await told.user.callTool("ask");
  expect(JSON.parse(textOf(result) ?? "")).toMatchObject({ error: { code: -32601 } });
});
