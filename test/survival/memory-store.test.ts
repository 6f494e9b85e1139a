import { expect, test } from "vitest";
import { startGatewayProcess } from "../support/gateway-process.ts";
import { type Json, ModernClient } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { gate } from "../support/story.ts";

const SIZE = 262_144;
/** Together more than the store may take of the heap, with what new tasks leave to those that run already. */
const CALLS = 450;

test("a gateway with a small heap and `memory:` refuses new tasks, and outlives results for which it has no room", {
  timeout: 240_000,
}, async ({ onTestFinished, onTestFailed }) => {
  const answered = gate();
  const server = await startScriptedServer({
    "tools/call": async (call) => {
      await answered.opened;
      call.text("x".repeat(SIZE));
    },
  });
  onTestFinished(server.close);
  const gateway = await startGatewayProcess(
    ["--upstream", server.url.href, "--port", "0", "--mode", "always", "--store", "memory:"],
    {
      env: { NODE_OPTIONS: "--max-old-space-size=160 --max-semi-space-size=2" },
    },
  );
  const client = new ModernClient(gateway.url);
  onTestFailed(() => console.error(gateway.stderr.slice(-3_000)));
  const ids: string[] = [];
  for (let n = 0; n < CALLS; n += 1) ids.push((await client.callTool("large")).taskId);
  await server.arrival("tools/call", 1);
  answered.open();

  const ended: Json[] = [];
  // One at a time: what is asked for is in memory once more while it is told.
  for (const id of ids) ended.push((({ status, error }) => ({ status, error }))(await client.settled(id)));
  const kept = ended.filter(({ status }) => status === "completed");
  const refused = ended.filter(({ error }) => error?.message.includes("memory that is left"));
  expect(kept.length).toBeGreaterThan(10);
  expect(refused.length).toBeGreaterThan(10);

  const { status, headers, message } = await client.send("tools/call", { name: "large", arguments: {} });
  expect(status).toBe(503);
  expect(headers["retry-after"]).toBeDefined();
  expect(message.error.data.limit).toBe("limits.total.bytes");
  // What was kept is still there.
  const first = ids[ended.indexOf(kept[0])] ?? "";
  expect((await client.task(first)).result.content[0].text).toHaveLength(SIZE);
  expect(gateway.child.exitCode).toBeNull();
});
