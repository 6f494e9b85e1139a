import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startGatewayProcess } from "../support/gateway-process.ts";
import { ModernClient } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { count, gate, textOf, textResult } from "../support/story.ts";

const CALLS = 64;
const SIZE = 1_000_000;

test.for([
  ["always", "in JSON", "level:"],
  ["auto", "on streams", "level:"],
  ["always", "in JSON", "memory:"],
] as const)(
  "a gateway with a small heap (%s) outlives 64 answers of a megabyte at once, %s, over %s, and refuses and loses none",
  { timeout: 300_000 },
  async ([mode, how, kind]) => {
    const answered = gate();
    const result = textResult("x".repeat(SIZE));
    const server = await startScriptedServer({
      "tools/call": async (call) => {
        await answered.opened;
        if (how === "in JSON") return void call.json(result);
        const stream = call.sse();
        stream.event(call.answer(result));
        stream.end();
      },
    });
    onTestFinished(server.close);
    const folder = await mkdtemp(join(tmpdir(), "taskgate-large-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const store = kind === "level:" ? `level:${join(folder, "data")}` : kind;
    const gateway = await startGatewayProcess(
      ["--upstream", server.url.href, "--port", "0", "--mode", mode, "--store", store],
      { env: { NODE_OPTIONS: "--max-old-space-size=160" } },
    );
    const client = new ModernClient(gateway.url);
    const begun = Array.from({ length: CALLS }, () => client.callTool("large"));
    await server.until(() => count(server, "tools/call") === CALLS, "all calls");
    const ids = (await Promise.all(begun)).map(({ taskId }) => taskId);
    answered.open();
    // All at once, as well.
    const ended = await Promise.all(
      ids.map(async (id) => {
        const { status, result: given } = await client.settled(id);
        return [status, textOf(given)?.length];
      }),
    );
    expect(ended).toEqual(ids.map(() => ["completed", SIZE]));
    expect(gateway.child.exitCode).toBeNull();
  },
);
