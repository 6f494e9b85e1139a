import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import express from "express";
import { request } from "undici";
import { expect, test } from "vitest";
import { loadConfig, taskgate } from "../../src/index.ts";
import { ModernClient } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

test("the gateway is a middleware of an app that has paths of its own", async ({ onTestFinished }) => {
  const server = await startScriptedServer({ "tools/call": (call) => call.text("hello") });
  onTestFinished(() => server.close());
  const folder = await mkdtemp(join(tmpdir(), "taskgate-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "taskgate.yaml");
  await writeFile(
    file,
    `store: { url: "memory:" }\nlog: { level: silent }\nservers: { demo: { upstream: { url: "${server.url}" } } }\n`,
  );

  const { config } = await loadConfig(file);
  const gate = await taskgate(config);
  const app = express()
    .use(gate)
    .get("/own", (_, response) => void response.send("mine"));
  const http = app.listen(0, "127.0.0.1");
  onTestFinished(() => void http.close());
  onTestFinished(() => gate.close());
  await once(http, "listening");
  const { port } = http.address() as AddressInfo;

  const client = new ModernClient(new URL(`http://127.0.0.1:${port}/demo/mcp`));
  expect((await client.callTool("any")).content[0].text).toBe("hello");
  const own = await request(`http://127.0.0.1:${port}/own`);
  expect(await own.body.text()).toBe("mine");
});
