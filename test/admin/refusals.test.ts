import { expect, onTestFinished, test } from "vitest";
import { Refusals } from "../../src/admin/refusals.ts";
import type { Refused } from "../../src/tasks/task-event.ts";
import { run } from "../cli/process.ts";
import { byName } from "../support/legacy-wire.ts";
import { ModernClient, TASKS } from "../support/modern-client.ts";
import { gate, story, textResult } from "../support/story.ts";

const HOUR_MS = 3_600_000;

test("an operator sees who is over which limit", async () => {
  const { opened, open } = gate();
  onTestFinished(() => open());
  const { gateway } = await story(
    {
      "tools/call": async (call) => {
        await opened;
        call.json(textResult("done"));
      },
    },
    {
      admin: true,
      identify: byName,
      callers: { identify: "header", header: "x-user", trustedProxies: ["127.0.0.1"] },
      policy: { mode: "always" },
      limits: { perCaller: { tasks: 1 } },
      server: { maxConcurrent: 1 },
    },
  );
  const url = new URL(gateway.routes[0]?.url ?? "");
  const as = (name: string) => new ModernClient(url, { capabilities: TASKS, headers: { "x-user": name } });
  const all = await Promise.all(
    ["ada", "ada", "ada", "ada", "eve"].map((name) =>
      as(name).send("tools/call", { name: "t", arguments: {} }),
    ),
  );
  const refused = all.filter(({ message }) => message.error !== undefined).length;
  expect(refused).toBeGreaterThan(0);
  const { stdout } = await run(["servers"], { MCP_TASKGATE_ADMIN: gateway.adminUrl ?? "" });
  expect(stdout).toMatch(
    new RegExp(`^REFUSED IN THE LAST HOUR .*\nada +tested +limits\\.perCaller\\.tasks +${refused} `, "m"),
  );
});

test("refusals are counted for each caller and limit, for an hour, and only so many are kept", () => {
  let now = 1_800_000_000_000;
  const refusals = new Refusals({ nameOf: (caller) => `#${caller}`, clock: () => now });
  const refuse = (more: Partial<Refused>) =>
    refusals.observe({ kind: "refused", route: "reports", reason: "limit", ...more });
  refuse({ caller: "ada", limit: "limits.perCaller.calls" });
  now += 1_000;
  refuse({ reason: "no valid credential" });
  refuse({ caller: "ada", limit: "limits.perCaller.calls" });
  expect(refusals.recent()).toEqual([
    {
      server: "reports",
      caller: "#ada",
      reason: "limit",
      limit: "limits.perCaller.calls",
      count: 2,
      firstAt: new Date(now - 1_000).toISOString(),
      lastAt: new Date(now).toISOString(),
    },
    {
      server: "reports",
      reason: "no valid credential",
      count: 1,
      firstAt: new Date(now).toISOString(),
      lastAt: new Date(now).toISOString(),
    },
  ]);
  now += HOUR_MS;
  expect(refusals.recent()).toEqual([]);
  refuse({ caller: "ada", limit: "limits.perCaller.calls" });
  expect(refusals.recent()).toMatchObject([{ caller: "#ada", count: 1 }]);
  for (let n = 0; n < 1_000; n += 1) refuse({ caller: String(n) });
  expect(refusals.recent().length).toBe(200);
  expect(refusals.recent()[0]).toMatchObject({ caller: "#999" });
});
