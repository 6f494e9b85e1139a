/** What operators see of webhooks, and do about them. */

import { expect, test, vi } from "vitest";
import { taskName } from "../../src/log/task-name.ts";
import { run } from "../cli/process.ts";
import { story, textResult } from "../support/story.ts";
import { answering, SECRET, startReceiver } from "./receiver.ts";

const TOKEN = "an-admin-token-of-the-tests";
const READ_TOKEN = "a-token-that-only-reads";

test("an operator sees what a receiver did not take, and has it told again", async () => {
  const receiver = await startReceiver();
  receiver.take = answering(500);
  const { user, gateway } = await story(
    { "tools/call": (call) => call.json(textResult("done")) },
    {
      admin: { token: TOKEN, readToken: READ_TOKEN },
      policy: { mode: "always" },
      webhooks: [receiver.webhook({ attempts: 1 })],
    },
  );
  const command = (args: readonly string[], token = TOKEN) =>
    run(["webhooks", ...args], {
      MCP_TASKGATE_ADMIN: gateway.adminUrl ?? "",
      MCP_TASKGATE_ADMIN_TOKEN: token,
    });
  expect(await command(["test", "receiver"])).toMatchObject({
    code: 1,
    stdout: "the receiver refuses events: it answered 500\n",
  });
  const { taskId } = await user.callTool("quick");
  const listed = await vi.waitUntil(
    async () => {
      const { stdout } = await command(["list"], READ_TOKEN);
      return /^receiver +1 in a row failed: it answered 500 +0 +1 /m.test(stdout) && stdout;
    },
    { timeout: 60_000 },
  );
  expect(listed).toContain(`${receiver.url.origin}/hook`);
  const { stdout } = await command(["undelivered", "receiver"]);
  expect(stdout).toContain(` ${taskName(taskId)} `);
  expect(await command(["redeliver", "receiver", "--event", "msg_none"])).toMatchObject({
    code: 1,
    stdout: "nothing of that was given up: see webhooks undelivered NAME\n",
  });
  const [, event = ""] = /^(msg_[\w-]+) +[0-9a-f]{12} +ended +\S+ +1 +it answered 500$/m.exec(stdout) ?? [];
  expect(await command(["redeliver", "receiver"], READ_TOKEN)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("may read only"),
  });
  receiver.take = answering(204);
  expect(await command(["redeliver", "receiver", "--event", event])).toMatchObject({
    code: 0,
    stdout: "1 event is tried again: webhooks list says with what success\n",
  });
  await receiver.until(() => receiver.received.at(-1)?.id === event && receiver.received.length >= 3);
  const text = await vi.waitUntil(
    async () => {
      const metrics = await (await fetch(new URL("/metrics", gateway.adminUrl))).text();
      return (
        metrics.includes('taskgate_webhook_deliveries_total{webhook="receiver",outcome="delivered"} 1') &&
        metrics
      );
    },
    { timeout: 60_000 },
  );
  expect(text).toContain('taskgate_webhook_deliveries_total{webhook="receiver",outcome="given_up"} 1');
  const config = await fetch(new URL("/api/config", gateway.adminUrl), {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  const shown = await config.text();
  expect(shown).toContain('"secrets":["***"]');
  expect(shown).not.toContain(SECRET);
});

test.each([
  ["without an action", ["hooks"], /^error: give an action: list, undelivered, redeliver, test/],
  ["without a name", ["test"], /^error: give the name of a webhook: webhooks test NAME/],
  ["with a name too many", ["list", "x"], /^error: webhooks list takes no name/],
  ["with an event too many", ["test", "x", "--event", "y"], /^error: only webhooks redeliver takes an event/],
])("webhooks %s says what to give", async (_, args, message) => {
  const { code, stderr } = await run(["webhooks", ...args], {});
  expect(code).toBe(2);
  expect(stderr).toMatch(message);
});

test("a webhook that nobody knows is said to be none", async () => {
  const { gateway } = await story({}, { admin: true });
  const env = { MCP_TASKGATE_ADMIN: gateway.adminUrl ?? "" };
  for (const args of [
    ["undelivered", "x"],
    ["redeliver", "x"],
    ["test", "x"],
  ])
    expect(await run(["webhooks", ...args], env)).toMatchObject({
      code: 1,
      stderr: "error: The configuration has no webhook x\n",
    });
});

test("the schema of what is told can be printed", async () => {
  const { stdout } = await run(["schema", "webhooks"], {});
  expect(JSON.parse(stdout)).toMatchObject({ title: "Event of mcp-taskgate" });
  expect((await run(["schema", "x"], {})).stderr).toContain("config or webhooks");
});
