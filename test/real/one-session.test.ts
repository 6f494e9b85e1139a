import { describe, expect, test } from "vitest";
import { everything } from "../peers/peers.ts";
import { type ModernClient, TASKS } from "../support/modern-client.ts";
import { textOf } from "../support/story.ts";
import { type AtEnd, type InFrontOf, inFrontOf } from "./in-front-of.ts";
import { peersMissing } from "./peers-missing.ts";
import { startServerProcess } from "./server-process.ts";

const RELEASE = "2025.4.28";

// It has one protocol object for all its sessions, and refuses to begin a second session while it has a first:
// `sessions: single` is for servers like this one.
describe.skipIf(peersMissing("server-everything", () => everything(RELEASE)))(
  `server-everything ${RELEASE}, which serves one session at a time`,
  () => {
    test("lists, reads, gets and completes what the server has", async ({ onTestFinished }) => {
      const user = await inFrontOfIt(onTestFinished);

      expect(await user.result("server/discover")).toMatchObject({
        supportedVersions: ["2026-07-28"],
        _meta: { "io.modelcontextprotocol/serverInfo": { name: "example-servers/everything" } },
      });
      expect((await user.result("tools/list")).tools).toContainEqual(
        expect.objectContaining({ name: "longRunningOperation" }),
      );
      const { resources, nextCursor } = await user.result("resources/list");
      expect(resources).toHaveLength(10);
      expect((await user.result("resources/list", { cursor: nextCursor })).resources[0].uri).toBe(
        "test://static/resource/11",
      );
      expect((await user.result("prompts/list")).prompts).toHaveLength(3);
      const { completion } = await user.result("completion/complete", {
        ref: { type: "ref/prompt", name: "complex_prompt" },
        argument: { name: "style", value: "f" },
      });
      expect(completion.values).toEqual(["formal", "friendly"]);
    });

    test("answers a quick call, and a slow one becomes a task with progress", async ({ onTestFinished }) => {
      const user = await inFrontOfIt(onTestFinished);

      const { content } = await user.callTool("echo", { message: "hello" });
      expect(content).toEqual([{ type: "text", text: "Echo: hello" }]);

      const handle = await user.callTool("longRunningOperation", { duration: 1, steps: 2 });
      expect(handle.resultType).toBe("task");
      await user.taskWhen(handle.taskId, ({ statusMessage }) => /of 2/.test(statusMessage));
      // Lists go over the same session meanwhile.
      expect((await user.result("prompts/list")).prompts).toHaveLength(3);
      const { status, result } = await user.settled(handle.taskId);
      expect(status).toBe("completed");
      expect(textOf(result)).toContain("completed");
    });

    test("a client that declares something else waits its turn, and gets a session of its own", async ({
      onTestFinished,
    }) => {
      const front = await inFrontOfSingle(onTestFinished);
      const plain = front.client(TASKS);
      const sampling = front.client({ ...TASKS, sampling: {} });

      const slow = await plain.callTool("longRunningOperation", { duration: 1, steps: 2 });
      const args = { prompt: "a poem", maxTokens: 9 };
      const { resultType, inputRequests, requestState } = await sampling.callTool("sampleLLM", args);
      expect(resultType).toBe("input_required");
      expect((await plain.task(slow.taskId)).status).toBe("completed");

      const answer = { role: "assistant", model: "m", content: { type: "text", text: "roses are red" } };
      const inputResponses = { [String(Object.keys(inputRequests)[0])]: answer };
      const result = await sampling.callTool("sampleLLM", args, { params: { inputResponses, requestState } });
      expect(textOf(result)).toContain("roses are red");
    });
  },
);

async function inFrontOfIt(atEnd: AtEnd): Promise<ModernClient> {
  const { client, gateway } = await inFrontOfSingle(atEnd);
  expect(gateway.routes[0]?.description).toMatch(/^legacy 20/);
  return client(TASKS);
}

async function inFrontOfSingle(atEnd: AtEnd): Promise<InFrontOf> {
  return inFrontOf(await startServerProcess(everything(RELEASE), atEnd), atEnd, {}, "single");
}
