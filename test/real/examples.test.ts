import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import type { GatewaySettings } from "../support/gateway.ts";
import { type Json, TASKS } from "../support/modern-client.ts";
import { textOf } from "../support/story.ts";
import { type AtEnd, inFrontOf } from "./in-front-of.ts";
import { startServerProcess } from "./server-process.ts";

const EXAMPLES = resolve(
  import.meta.dirname,
  "../../node_modules/@modelcontextprotocol/sdk/dist/esm/examples/server",
);
const FORM = { elicitation: { form: {} } };

describe.concurrent("the example servers of the v1 SDK", () => {
  test("a server that answers with JSON only, and has no GET stream", async ({ onTestFinished }) => {
    const { gateway, client } = await inFrontOfExample("jsonResponseStreamableHttp", onTestFinished);
    const user = client(TASKS);

    expect(gateway.routes[0]?.description).toBe("legacy 2025-11-25");
    expect(textOf(await user.callTool("greet", { name: "Ada" }))).toBe("Hello, Ada!");
    const handle = await user.callTool("multi-greet", { name: "Ada" });
    expect(handle).toMatchObject({ resultType: "task", status: "working" });
    const { status, result } = await user.settled(handle.taskId);
    expect(status).toBe("completed");
    expect(textOf(result)).toBe("Good morning, Ada!");
  });

  test("a server without sessions", async ({ onTestFinished }) => {
    const { gateway, client } = await inFrontOfExample("simpleStatelessStreamableHttp", onTestFinished);
    const user = client(TASKS);

    expect(gateway.routes[0]?.description).toBe("legacy 2025-11-25");
    expect((await user.result("tools/list")).tools).toMatchObject([{ name: "start-notification-stream" }]);
    const { taskId } = await user.callTool("start-notification-stream", { interval: 100, count: 10 });
    expect(textOf((await user.settled(taskId)).result)).toBe(
      "Started sending periodic notifications every 100ms",
    );
    const uri = "https://example.com/greetings/default";
    expect((await user.result("resources/read", { uri })).contents).toMatchObject([
      { text: "Hello, world!" },
    ]);
    const prompt = await user.result("prompts/get", {
      name: "greeting-template",
      arguments: { name: "Ada" },
    });
    expect(prompt.messages[0].content.text).toBe("Please greet Ada in a friendly manner.");
  });

  test("a server that asks on the stream of the call, and has an event store", async ({ onTestFinished }) => {
    const { client } = await inFrontOfExample("simpleStreamableHttp", onTestFinished);
    const user = client(FORM);
    const args = { infoType: "feedback" };

    const asking = await user.callTool("collect-user-info", args);
    expect(asking).toMatchObject({ resultType: "input_required" });
    const [key = ""] = Object.keys(asking.inputRequests);
    expect(asking.inputRequests[key]).toMatchObject({
      method: "elicitation/create",
      params: { mode: "form", message: "Please provide your feedback" },
    });
    const inputResponses = { [key]: { action: "accept", content: { rating: 5, recommend: true } } };
    const { requestState } = asking;
    const result = await user.callTool("collect-user-info", args, {
      params: { requestState, inputResponses },
    });

    expect(textOf(result)).toContain('"rating": 5');
  });

  test("a server with tasks of its own: what it marks as such does not reach a modern client", async ({
    onTestFinished,
  }) => {
    const { client } = await inFrontOfExample("simpleStreamableHttp", onTestFinished);
    const user = client(TASKS);

    const { tools } = await user.result("tools/list");
    expect(tools.map(({ name }: Json) => name)).toEqual(expect.arrayContaining(["greet", "delay"]));
    expect(tools.flatMap((tool: Json) => Object.keys(tool))).not.toContain("execution");
    const { capabilities } = await user.result("server/discover");
    expect(Object.keys(capabilities)).not.toContain("tasks");
    expect(textOf(await user.callTool("greet", { name: "Ada" }))).toBe("Hello, Ada!");
    // This one can only be called as the server's own kind of task, which is not spoken with servers.
    const refused = await user.callTool("delay", { duration: 300 });
    expect(refused.isError).toBe(true);
    expect(textOf(refused)).toContain("requires task augmentation");
  });

  test("a server that asks twice, as the commonest idiom has it: on the stream of the session", async ({
    onTestFinished,
  }) => {
    const { client } = await inFrontOfExample("elicitationFormExample", onTestFinished, { mode: "always" });
    const user = client({ ...FORM, ...TASKS });
    const { taskId } = await user.callTool("create_event");

    const first = await asking(user, taskId, /^Step 1/);
    await user.result("tasks/update", {
      taskId,
      inputResponses: { [first]: { action: "accept", content: { title: "Launch" } } },
    });
    const second = await asking(user, taskId, /^Step 2/);
    const content = { date: "2026-07-28", startTime: "12:00", duration: 60 };
    await user.result("tasks/update", {
      taskId,
      inputResponses: { [second]: { action: "accept", content } },
    });

    expect(second).not.toBe(first);
    const { result } = await user.settled(taskId);
    expect(textOf(result)).toMatch(/^Event created successfully!/);
    expect(textOf(result)).toContain('"title": "Launch"');
  });

  test("an answer that the user declines", async ({ onTestFinished }) => {
    const { client } = await inFrontOfExample("elicitationFormExample", onTestFinished);
    const user = client(FORM);

    const { inputRequests, requestState } = await user.callTool("register_user");
    const inputResponses = { [Object.keys(inputRequests)[0] ?? ""]: { action: "decline" } };
    const result = await user.callTool("register_user", {}, { params: { requestState, inputResponses } });

    expect(textOf(result)).toBe("Registration cancelled by user.");
  });

  test("a server that ends the stream in the middle of a call, and keeps the result for who comes back", async ({
    onTestFinished,
  }) => {
    const { client } = await inFrontOfExample("ssePollingExample", onTestFinished);
    const user = client(TASKS);

    const { taskId } = await user.callTool("long-task");

    expect(textOf((await user.settled(taskId)).result)).toBe("Long task completed successfully!");
  });

  test("a server that tells of new resources on its GET stream", async ({ onTestFinished }) => {
    const { client } = await inFrontOfExample("standaloneSseWithGetStreamableHttp", onTestFinished);
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const notifications = { resourcesListChanged: true };
    const stream = client().stream("subscriptions/listen", { notifications }, { signal: stop.signal });

    expect((await stream.next()).value).toMatchObject({
      method: "notifications/subscriptions/acknowledged",
      params: { notifications },
    });
    // It adds one every five seconds.
    expect((await stream.next()).value).toMatchObject({ method: "notifications/resources/list_changed" });
    expect((await client().result("resources/list")).resources.length).toBeGreaterThan(1);
  });
});

async function inFrontOfExample(example: string, atEnd: AtEnd, policy: GatewaySettings["policy"] = {}) {
  return inFrontOf(await startServerProcess(resolve(EXAMPLES, `${example}.js`), atEnd), atEnd, policy);
}

/** The key under which a task asks a question like this. */
async function asking(user: Json, taskId: string, question: RegExp): Promise<string> {
  const isAsked = ([, { params }]: [string, Json]) => question.test(params.message);
  const { inputRequests } = await user.taskWhen(taskId, ({ inputRequests }: Json) =>
    Object.entries(inputRequests ?? {}).some(isAsked as never),
  );
  return Object.entries(inputRequests).find(isAsked as never)?.[0] ?? "";
}
