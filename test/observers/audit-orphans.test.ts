import { expect, onTestFinished, test } from "vitest";
import type { ToolPolicy } from "../../src/config/config.ts";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { audit } from "../../src/observers/audit.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { directory } from "../store/places.ts";
import { newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";
import { Conditions } from "../support/conditions.ts";
import { configFor } from "../support/gateway.ts";
import { byName } from "../support/legacy-wire.ts";
import { type Json, ModernClient } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { textResult } from "../support/story.ts";

const ADA = { caller: "ada", route: "tested", tool: "slow" };

test("a gateway that goes on with what another one has left says so", async () => {
  let calls = 0;
  const server = await startScriptedServer({
    "tools/call": async (call) => {
      calls += 1;
      if (calls === 1) await call.closed;
      else call.json(textResult("done"));
    },
  });
  onTestFinished(server.close);
  const store = `level:${await directory()}`;
  const policy: Partial<ToolPolicy> = { onLoss: "retry", isUnsafe: true };
  const start = () => audited({ upstream: server.url, store, policy, log: { isAudited: true } });

  const first = await start();
  const { taskId } = await first.ada.callTool("slow");
  await first.close();
  const second = await start();
  expect(await second.ada.settled(taskId)).toMatchObject({ status: "completed" });

  expect(first.lines()).toMatchObject([{ audit: "created", ...ADA }]);
  const told = await second.until((lines) => lines.some(({ audit }) => audit === "ended"));
  expect(told.filter(({ audit }) => audit !== "read")).toMatchObject([
    { audit: "adopted", ...ADA },
    { audit: "ended", kind: "completed", ...ADA },
  ]);
  expect(new Set([...first.lines(), ...told].map(({ task }) => task)).size).toBe(1);
});

test("of those who find that a task is lost one says so", async () => {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const lines: Json[] = [];
  const report = audit({
    log: createLog("error", { write: (line) => void lines.push(JSON.parse(line)) }),
    nameOf: (caller) => caller,
  });
  const [dead, ...others] = await Promise.all([memory.replica(), memory.replica(), memory.replica()]);
  const task = await dead.store.create(newTask(ADA));
  await dead.store.leave();

  const engines = others.map(
    ({ store }, n) =>
      new TaskEngine({ store, log: createLog("silent"), report, clock: () => Date.now() + n }),
  );
  for (const engine of engines) onTestFinished(() => engine.close());
  await Promise.all(engines.map((engine) => engine.get(task.id, ADA)));

  expect(lines.filter((line) => line.audit === "ended")).toMatchObject([{ kind: "lost", ...ADA }]);
});

/** A gateway that tells what it writes down, whoever is named by `x-user` being the caller. */
async function audited(settings: Parameters<typeof configFor>[0]) {
  const text: string[] = [];
  const conditions = new Conditions(() => `written so far: ${text.join("")}`);
  const write = (line: string) => {
    text.push(line);
    conditions.check();
  };
  const log = createLog("error", { write });
  const gateway = await startGateway(configFor(settings), { identify: byName, log });
  let closing: Promise<void> | undefined;
  const close = () => (closing ??= gateway.close());
  onTestFinished(close);
  const lines = (): Json[] => text.map((line) => JSON.parse(line)).filter(({ audit }) => audit !== undefined);
  const capabilities = { extensions: { "io.modelcontextprotocol/tasks": {} } };
  const ada = new ModernClient(new URL(gateway.routes[0]?.url ?? ""), {
    capabilities,
    headers: { "x-user": "ada" },
  });
  const until = (isThere: (lines: Json[]) => boolean) =>
    conditions.found(() => (isThere(lines()) ? lines() : undefined), "the lines");
  return { ada, close, lines, until };
}
