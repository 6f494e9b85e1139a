import { describe, expect, test } from "vitest";
import { everything } from "../peers/peers.ts";
import { type ModernClient, TASKS } from "../support/modern-client.ts";
import { type AtEnd, inFrontOf } from "./in-front-of.ts";
import { peersMissing } from "./peers-missing.ts";
import { startServerProcess } from "./server-process.ts";

const RELEASE = "2025.4.28";

// It has one protocol object for all its sessions, and refuses to begin a second session while it has a first. One client
// can use it; a gateway, which keeps the calls apart from each other and from everything else, cannot call its tools.
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

    test("a call is answered at once with what the server said to its second session", async ({
      onTestFinished,
    }) => {
      const user = await inFrontOfIt(onTestFinished);

      const { status, message } = await user.send("tools/call", {
        name: "echo",
        arguments: { message: "hello" },
      });

      expect(status).toBe(200);
      expect(message.error).toMatchObject({
        code: -32603,
        message: expect.stringContaining("The server answered HTTP 500"),
      });
      // What needs no second session is not disturbed.
      expect((await user.result("tools/list")).tools).toContainEqual(
        expect.objectContaining({ name: "echo" }),
      );
    });
  },
);

async function inFrontOfIt(atEnd: AtEnd): Promise<ModernClient> {
  const { client, gateway } = await inFrontOf(await startServerProcess(everything(RELEASE), atEnd), atEnd);
  expect(gateway.routes[0]?.description).toMatch(/^legacy 20/);
  return client(TASKS);
}
