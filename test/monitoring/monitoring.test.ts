/** What a gateway tells Prometheus, and what `config/monitoring` makes of it, with the programs of Prometheus themselves. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { withoutPrograms } from "../support/required-programs.ts";
import { accept, asksOnce, gate, INPUT, story, textResult } from "../support/story.ts";
import { startPrometheus } from "./prometheus.ts";

const ROOT = join(import.meta.dirname, "../..");
const RULES = join(ROOT, "config/monitoring/alerts.yaml");
const OPEN_METRICS = "application/openmetrics-text; version=1.0.0";

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

describe.skipIf(withoutPrograms("monitoring", "prometheus", "promtool"))("monitoring", () => {
  test("the alerts are rules, and fire when they should and only then", () => {
    expect(promtool("check", "rules", RULES)).toMatch(/SUCCESS: \d+ rules found/);
    expect(promtool("test", "rules", join(import.meta.dirname, "alerts.test.yaml"))).toMatch(/SUCCESS/);
  });

  test("a scrape is what Prometheus calls good style, whatever tools are called", async () => {
    const { metrics } = await busyGateway();
    const scraped = await metrics("text/plain");
    expect(scraped.type).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(lint(scraped.text)).toBe("");
    expect(scraped.text).toContain('tool="a \\"quoted\\\\name\\"\\nin two lines"');
  });

  test("Prometheus reads a scrape as OpenMetrics, and each panel of the dashboard shows something", async () => {
    const { metrics, admin } = await busyGateway();
    expect((await metrics(OPEN_METRICS)).text.endsWith("# EOF\n")).toBe(true);
    const prometheus = await startPrometheus(admin, RULES);
    const { panels } = JSON.parse(readFileSync(join(ROOT, "config/monitoring/dashboard.json"), "utf8"));
    const shown = (panels as readonly Panel[]).flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }) => [title, filledIn(expr)] as const),
    );
    expect(shown.length).toBeGreaterThan(20);
    for (const [title, expression] of shown)
      await vi.waitFor(async () => expect(await prometheus.count(expression), title).toBeGreaterThan(0), {
        timeout: 60_000,
        interval: 100,
      });
    expect(await prometheus.scraped()).toBe("up");
  });
});

/** What Grafana does before it asks. */
function filledIn(expression: string): string {
  return expression.replaceAll("$__rate_interval", "1m").replaceAll(/\$(server|instance)/g, ".*");
}

function promtool(...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync("promtool", args, { encoding: "utf8" });
  return `${stdout}${stderr}`;
}

/** What `promtool check metrics` finds wrong. */
function lint(text: string): string {
  const { stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  return `${stdout}${stderr}`;
}

/** A gateway that everything has happened to, and how to read its metrics. */
async function busyGateway() {
  const rude = 'a "quoted\\name"\nin two lines';
  const { opened, open } = gate();
  const { gateway, server, client, user } = await story(
    {
      "tools/list": (call) => call.json({ tools: ["slow", "fails", "asks", rude].map(tool) }),
      "tools/call": async (call) => {
        const { name } = call.message.params ?? {};
        if (name === "asks") return asksOnce(call);
        if (name === "slow") await Promise.race([opened, call.cancelled]);
        if (name === "fails") return call.error(-32000, "no");
        return call.json(textResult("done"));
      },
    },
    {
      admin: true,
      tools: [
        { match: "slow", waitForMs: 1, fallback: { afterMs: 1, prefix: "taskgate_" } },
        { match: "fails", mode: "always" },
      ],
      limits: { total: { tasks: 2 } },
    },
  );
  const admin = new URL(gateway.adminUrl ?? "");
  const slow = await user.callTool("slow");
  await client({ capabilities: {} }).callTool("slow");
  await user.send("tools/call", { name: "slow" });
  open();
  await user.settled(slow.taskId);
  await vi.waitFor(async () => {
    const { taskId } = await user.callTool("fails");
    await user.settled(taskId);
  });
  const asker = client({ capabilities: INPUT });
  const { requestState, inputRequests } = await asker.callTool("asks");
  const inputResponses = Object.fromEntries(Object.keys(inputRequests).map((key) => [key, accept()]));
  await asker.callTool("asks", {}, { params: { requestState, inputResponses } });
  await user.callTool(rude, {}, { headers: { "mcp-name": encoded(rude) } });
  return {
    admin,
    server,
    metrics: async (accept: string) => {
      const response = await fetch(new URL("/metrics", admin), { headers: { accept } });
      return { type: response.headers.get("content-type"), text: await response.text() };
    },
  };
}

function tool(name: string) {
  return { name, inputSchema: { type: "object" } };
}

/** A name that no header can carry as it is (Streamable HTTP §Value Encoding). */
function encoded(name: string): string {
  return `=?base64?${Buffer.from(name).toString("base64")}?=`;
}
