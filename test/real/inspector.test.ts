import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { inspector, node24 } from "../peers/peers.ts";
import { gatewayFor } from "../support/gateway.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import type { Json } from "../support/modern-client.ts";
import { peersMissing } from "./peers-missing.ts";
import { wiretap } from "./wiretap.ts";

const PATIENCE_MS = 120_000;

describe.skipIf(peersMissing("The inspector", () => [node24(), inspector()]))("the inspector", () => {
  test("speaks 2026-07-28 with the gateway, and lists its tools", async () => {
    const { run, tap } = await inFrontOf(startLegacyTasksServer);

    const { code, out } = await run("--method", "tools/list");

    expect(code).toBe(0);
    expect(out.result.tools).toContainEqual({
      name: "greet",
      description: "Says hello at once",
      inputSchema: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
    });
    expect(new Set(tap.all.map(({ headers }) => headers["mcp-protocol-version"]))).toEqual(
      new Set(["2026-07-28"]),
    );
    expect(tap.of("initialize")).toEqual([]);
    expect(tap.at("server/discover").result.supportedVersions).toEqual(["2026-07-28"]);
  });

  test("calls a tool that is quick", async () => {
    const { run } = await inFrontOf(startLegacyTasksServer);

    const { code, out } = await run(...call("greet", { name: "Ada" }));

    expect(code).toBe(0);
    expect(out.result).toMatchObject({
      resultType: "complete",
      content: [{ type: "text", text: "Hello, Ada!" }],
    });
  });

  test("declares tasks, and gets the result of a slow tool by way of one", async () => {
    const { run, tap } = await inFrontOf(startLegacyTasksServer);

    const { code, out } = await run(...call("slow_compute", { seconds: 1, label: "It" }));

    expect(code).toBe(0);
    expect(out.result.content).toEqual([{ type: "text", text: "It took 1 s" }]);
    const { result: handle } = tap.at("tools/call");
    expect(handle).toMatchObject({ resultType: "task", status: "working" });
    expect(tap.of("tasks/get").at(-1)?.result).toMatchObject({
      taskId: handle.taskId,
      status: "completed",
    });
  });

  test("says that a tool has failed", async () => {
    const { run } = await inFrontOf(startLegacyTasksServer);

    const { code, out } = await run(...call("failing_job", {}));

    expect(code).not.toBe(0);
    expect(out.result).toMatchObject({ isError: true });
  });

  test("lists and reads resources, templates and prompts", async () => {
    const { run } = await inFrontOf(startLegacyEverythingServer);

    const [resources, templates, prompts, contents] = await Promise.all([
      run("--method", "resources/list"),
      run("--method", "resources/templates/list"),
      run("--method", "prompts/list"),
      run("--method", "resources/read", "--uri", "test://static-text"),
    ]);

    expect(resources.out.result.resources).toContainEqual(
      expect.objectContaining({ uri: "test://static-text", mimeType: "text/plain" }),
    );
    expect(templates.out.result.resourceTemplates).toContainEqual(
      expect.objectContaining({ uriTemplate: "test://template/{id}/data" }),
    );
    expect(prompts.out.result.prompts).toContainEqual(
      expect.objectContaining({ name: "test_simple_prompt" }),
    );
    expect(contents.out.result).toMatchObject({
      contents: [{ text: "This is the content of the static text resource." }],
      ttlMs: 0,
      cacheScope: "private",
    });
  });
});

async function inFrontOf(start: () => Promise<{ readonly url: URL; close(): Promise<void> }>) {
  const server = await start();
  onTestFinished(server.close);
  const gateway = await gatewayFor({ upstream: server.url });
  const tap = await wiretap(gateway.url);
  // Its catalogue, its log and its secrets go to a home of their own.
  const home = await mkdtemp(join(tmpdir(), "inspector-"));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const options = ["--transport", "http", "--protocol-era", "modern", "--format", "json"];
  return { tap, run: (...args: string[]) => run(home, [tap.url.href, ...options, ...args]) };
}

function call(name: string, args: Readonly<Record<string, unknown>>): string[] {
  return ["--method", "tools/call", "--tool-name", name, "--tool-args-json", JSON.stringify(args)];
}

/** Its exit code, and what it printed as JSON. */
function run(home: string, args: readonly string[]): Promise<{ readonly code: unknown; readonly out: Json }> {
  const options = { timeout: PATIENCE_MS, env: { ...process.env, HOME: home, USERPROFILE: home } };
  return new Promise((resolve, reject) => {
    execFile(node24(), [inspector(), "--cli", ...args], options, (error, stdout, stderr) => {
      if (stdout.trim() === "") reject(new Error(`the inspector said nothing\n${stderr}`, { cause: error }));
      else resolve({ code: error?.code ?? 0, out: JSON.parse(stdout) });
    });
  });
}
