import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { everything } from "../peers/peers.ts";
import { TASKS } from "../support/modern-client.ts";
import { textOf } from "../support/story.ts";
import { type AtEnd, type InFrontOf, inFrontOf } from "./in-front-of.ts";
import { peersMissing } from "./peers-missing.ts";
import { startServerProcess } from "./server-process.ts";

const ASKED = { elicitation: { form: {} }, sampling: {} };
const WATCHED = "test://static/resource/2";

const RELEASES = [
  // Asks with requests of no call, which go out on the session's GET stream; tells of progress on the stream of the call.
  { release: "2025.9.25", canSubscribe: false, answer: { color: "green" }, told: /Color: green/ },
  // Asks on the stream of the call.
  { release: "2025.12.18", canSubscribe: true, answer: { name: "Ada" }, told: /Name: Ada/ },
] as const;

const missing = peersMissing("server-everything", () => RELEASES.map(({ release }) => everything(release)));

describe.skipIf(missing).each(RELEASES)(
  "server-everything $release",
  { concurrent: true },
  ({ release, canSubscribe, answer, told }) => {
    const cleanUps: (() => Promise<void>)[] = [];
    const atEnd: AtEnd = (cleanUp) => void cleanUps.unshift(cleanUp);
    let auto: InFrontOf;
    let always: InFrontOf;

    beforeAll(async () => {
      const url = await startServerProcess(everything(release), atEnd);
      auto = await inFrontOf(url, atEnd);
      always = await inFrontOf(url, atEnd, { mode: "always" });
    });
    afterAll(async () => {
      for (const cleanUp of cleanUps) await cleanUp();
    });

    test("is a legacy server, and looks like a modern one with tasks", async () => {
      expect(auto.gateway.routes[0]?.description).toMatch(/^legacy 2025-/);
      const discovered = await auto.client().result("server/discover");
      expect(discovered).toMatchObject({
        resultType: "complete",
        supportedVersions: ["2026-07-28"],
        capabilities: {
          resources: { subscribe: true },
          extensions: { "io.modelcontextprotocol/tasks": {} },
        },
        _meta: { "io.modelcontextprotocol/serverInfo": { name: "example-servers/everything" } },
      });
    });

    test("lists the tools that the client's capabilities allow", async () => {
      const names = async (capabilities: JsonObject) =>
        (await auto.client(capabilities).result("tools/list")).tools.map(
          ({ name }: { name: string }) => name,
        );

      expect(await names({})).toEqual(expect.arrayContaining(["echo", "longRunningOperation", "sampleLLM"]));
      expect(await names({})).not.toContain("startElicitation");
      expect(await names(ASKED)).toContain("startElicitation");
    });

    test("echoes at once, also to a client that knows tasks", async () => {
      const result = await auto.client(TASKS).callTool("echo", { message: "hello" });

      expect(result).toMatchObject({
        resultType: "complete",
        content: [{ type: "text", text: "Echo: hello" }],
      });
    });

    test("runs a long tool as a task, and tells of its progress", async () => {
      const user = auto.client(TASKS);

      const handle = await user.callTool("longRunningOperation", { duration: 2, steps: 4 });
      expect(handle).toMatchObject({ resultType: "task", status: "working" });
      const midway = await user.taskWhen(handle.taskId, ({ statusMessage }) => / of 4/.test(statusMessage));
      expect(midway).toMatchObject({
        status: "working",
        statusMessage: expect.stringMatching(/^[123] of 4$/),
      });

      expect(await user.settled(handle.taskId)).toMatchObject({
        status: "completed",
        result: {
          resultType: "complete",
          content: [{ text: "Long running operation completed. Duration: 2 seconds, Steps: 4." }],
        },
      });
    });

    test("reports progress to a client without tasks while that waits", async () => {
      const args = { name: "longRunningOperation", arguments: { duration: 0.3, steps: 3 } };
      const { message, before } = await auto.client().send("tools/call", args, {
        meta: { progressToken: "mine" },
      });

      expect(before.map(({ method, params }) => [method, params.progressToken, params.progress])).toEqual(
        [1, 2, 3].map((progress) => ["notifications/progress", "mine", progress]),
      );
      expect(textOf(message.result)).toContain("Steps: 3");
    });

    const QUESTIONS = [
      {
        tool: "sampleLLM",
        args: { prompt: "Say it" },
        method: "sampling/createMessage",
        reply: sampled("It"),
        says: /It$/,
      },
      {
        tool: "startElicitation",
        args: {},
        method: "elicitation/create",
        reply: { action: "accept", content: answer },
        says: told,
      },
    ];

    test.each(QUESTIONS)(
      "$tool asks a client without tasks in rounds",
      async ({ tool, args, method, reply, says }) => {
        const user = auto.client(ASKED);

        const asking = await user.callTool(tool, args);
        expect(asking.resultType).toBe("input_required");
        const [key = ""] = Object.keys(asking.inputRequests);
        expect(asking.inputRequests[key].method).toBe(method);
        const { requestState } = asking;
        const result = await user.callTool(tool, args, {
          params: { requestState, inputResponses: { [key]: reply } },
        });

        expect(result.resultType).toBe("complete");
        expect(allText(result)).toMatch(says);
      },
    );

    test.each(QUESTIONS)("$tool asks by way of its task", async ({ tool, args, method, reply, says }) => {
      const user = always.client({ ...ASKED, ...TASKS });

      const { taskId } = await user.callTool(tool, args);
      const asking = await user.taskWhen(taskId, ({ status }) => status === "input_required");
      const [key = ""] = Object.keys(asking.inputRequests);
      expect(asking.inputRequests[key].method).toBe(method);
      await user.result("tasks/update", { taskId, inputResponses: { [key]: reply } });

      const { status, result } = await user.settled(taskId);
      expect(status).toBe("completed");
      expect(allText(result)).toMatch(says);
    });

    test("lists resources page by page, and reads texts and bytes", async () => {
      const user = auto.client();

      const first = await user.result("resources/list");
      const second = await user.result("resources/list", { cursor: first.nextCursor });
      const templates = await user.result("resources/templates/list");
      const texts = await user.result("resources/read", { uri: "test://static/resource/1" });
      const bytes = await user.result("resources/read", { uri: WATCHED });

      expect(first.resources.map(({ uri }: { uri: string }) => uri)).toEqual(uris(1, 10));
      expect(second.resources.map(({ uri }: { uri: string }) => uri)).toEqual(uris(11, 20));
      expect(templates.resourceTemplates).toMatchObject([{ uriTemplate: "test://static/resource/{id}" }]);
      expect(texts.contents[0].text).toBe("Resource 1: This is a plaintext resource");
      expect(Buffer.from(bytes.contents[0].blob, "base64").toString()).toBe(
        "Resource 2: This is a base64 blob",
      );
      for (const result of [first, second, templates, texts, bytes]) {
        expect(result).toMatchObject({ resultType: "complete", ttlMs: 0, cacheScope: "private" });
      }
    });

    test("lists and gets prompts, and completes their arguments", async () => {
      const user = auto.client();

      const { prompts } = await user.result("prompts/list");
      expect(prompts.map(({ name }: { name: string }) => name)).toEqual([
        "simple_prompt",
        "complex_prompt",
        "resource_prompt",
      ]);
      const args = { name: "complex_prompt", arguments: { temperature: "0.5", style: "formal" } };
      expect((await user.result("prompts/get", args)).messages[0].content.text).toContain(
        "temperature=0.5, style=formal",
      );
      const { completion } = await user.result("completion/complete", {
        ref: { type: "ref/prompt", name: "complex_prompt" },
        argument: { name: "style", value: "f" },
      });
      expect(completion.values).toEqual(["formal", "friendly"]);
    });

    test("a task that is cancelled stays cancelled, though the server works on", async () => {
      const user = auto.client(TASKS);
      const { taskId } = await user.callTool("longRunningOperation", { duration: 1, steps: 2 });

      expect(await user.result("tasks/cancel", { taskId })).toMatchObject({ resultType: "complete" });

      expect((await user.task(taskId)).status).toBe("cancelled");
      // By then the server has done what it was told not to do, on a session that is not used for others meanwhile.
      const other = await user.callTool("longRunningOperation", { duration: 1.2, steps: 2 });
      expect((await user.settled(other.taskId)).status).toBe("completed");
      expect(await user.task(taskId)).toMatchObject({ status: "cancelled" });
      expect(Object.keys(await user.task(taskId))).not.toContain("result");
    });

    const tells = async ({ onTestFinished }: TestContext) => {
      const stop = new AbortController();
      onTestFinished(() => stop.abort());
      const notifications = { resourceSubscriptions: [WATCHED] };
      const stream = auto
        .client()
        .stream("subscriptions/listen", { notifications }, { id: "sub", signal: stop.signal });

      const acknowledged = (await stream.next()).value;
      // The server says so every ten seconds.
      const updated = (await stream.next()).value;

      expect(acknowledged).toMatchObject({
        method: "notifications/subscriptions/acknowledged",
        params: { notifications, _meta: { "io.modelcontextprotocol/subscriptionId": "sub" } },
      });
      expect(updated).toMatchObject({
        method: "notifications/resources/updated",
        params: { uri: WATCHED, _meta: { "io.modelcontextprotocol/subscriptionId": "sub" } },
      });
    };

    // It asks its subscriber to sample before it agrees, and nobody can be asked on behalf of a subscription.
    const refuses = async ({ onTestFinished }: TestContext) => {
      const stop = new AbortController();
      onTestFinished(() => stop.abort());
      const notifications = { resourceSubscriptions: [WATCHED] };
      const stream = auto
        .client(ASKED)
        .stream("subscriptions/listen", { notifications }, { signal: stop.signal });

      expect((await stream.next()).value).toMatchObject({
        method: "notifications/subscriptions/acknowledged",
        params: { notifications: {} },
      });
    };

    if (canSubscribe) test("tells a subscriber of a resource that changes", tells);
    else test("a subscription that the server does not agree to is not acknowledged", refuses);
  },
);

function sampled(text: string) {
  return { role: "assistant", model: "test", content: { type: "text", text } };
}

function allText({ content }: { content: { text?: string }[] }): string {
  return content.map(({ text }) => text).join("\n");
}

function uris(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `test://static/resource/${from + i}`);
}
