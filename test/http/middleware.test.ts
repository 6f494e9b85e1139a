import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import express from "express";
import { pino } from "pino";
import { request } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { loadConfig, taskgate } from "../../src/index.ts";
import { ModernClient } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { frontedConfig, reached } from "./fronted.ts";

test("the gateway is a middleware of an app that has paths of its own", async () => {
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

test.for(["/mcp", "/tested/mcp", "/mcp/page"])(
  "an app that reads the body first gets an error at %s, and its log says why",
  async (path) => {
    const { config, origins } = await frontedConfig({});
    const lines: string[] = [];
    const gate = await taskgate(config, { log: pino({}, { write: (line) => void lines.push(line) }) });
    onTestFinished(() => gate.close());
    const http = express().use(express.json(), gate).listen(0, "127.0.0.1");
    onTestFinished(() => void http.close());
    await once(http, "listening");
    const { port } = http.address() as AddressInfo;

    const answer = await request(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
    });
    expect(await answer.body.json()).toEqual({
      jsonrpc: "2.0",
      id: null,
      error: { code: -32603, message: "Internal error" },
    });
    const errors = lines.map((line) => JSON.parse(line)).filter(({ level }) => level >= 50);
    expect(errors).toMatchObject([
      { msg: "a request failed", err: { message: expect.stringContaining("body parser") } },
    ]);
    expect(reached(origins)).toEqual([]);
  },
);
