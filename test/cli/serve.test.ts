import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { expect, onTestFinished, test } from "vitest";
import { serveLegacy } from "../support/legacy-http.ts";
import { ModernClient } from "../support/modern-client.ts";
import { fileWith, launch, run } from "./process.ts";

const READY = "ready: connect clients to the addresses before the arrows; Ctrl-C stops the gateway";
const STDIO_SERVER = new URL("../support/stdio-servers/server.mjs", import.meta.url).href;

test("serve prints its routes once it is ready, and stops with 0 when it is told to", async () => {
  const upstream = await legacyServer();
  const gateway = launch(["--upstream", upstream, "--port", "0", "--store", "memory:", "--admin-port", "0"]);
  const admin = await gateway.printed(/^admin {2}(.*)\n/m);

  expect((await fetch(`${admin}/health/ready`)).status).toBe(200);
  gateway.signal("SIGTERM");
  const { code, stdout } = await gateway.finished;

  const [route, about] = stdout.split("\n");
  expect(about).toBe("  legacy 1");
  expect(route).toMatch(/^default {2}http:\/\/127\.0\.0\.1:\d+\/mcp → /);
  expect(route?.slice(route.indexOf("→"))).toBe(`→ ${upstream}  legacy 2025-11-25  memory:`);
  expect(code).toBe(0);
});

test("serve by a file prints a line for every server, those that cannot be reached too", async () => {
  const upstream = await legacyServer();
  const file = await fileWith(
    "taskgate.yaml",
    `
listen: { port: 0 }
store: { url: "memory:" }
servers:
  here: { upstream: { url: "${upstream}" } }
  gone: { upstream: { url: "http://127.0.0.1:1/mcp" } }
`,
  );
  const gateway = launch(["serve", "--config", file]);
  await gateway.printed(/^(gone) {2}.*\n/m);
  gateway.signal("SIGINT");
  const { code, stdout, stderr } = await gateway.finished;

  const port = /:(\d+)\/here\/mcp/.exec(stdout)?.[1];
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toEqual([
    `here  http://127.0.0.1:${port}/here/mcp → ${upstream}  legacy 2025-11-25  memory:`,
    "  legacy 1",
    expect.stringMatching(
      new RegExp(
        `^gone {2}http://127\\.0\\.0\\.1:${port}/gone/mcp → http://127\\.0\\.0\\.1:1/mcp {2}unreachable: .+, will retry {2}memory:$`,
      ),
    ),
    READY,
  ]);
  const warnings = stderr.split("\n").filter((line) => line.includes("store.url"));
  expect(warnings.map((line) => JSON.parse(line).msg)).toEqual([
    "memory: loses every task when the gateway stops",
  ]);
  expect(code).toBe(0);
});

test("serve starts the command behind --, which keeps its own flags", async () => {
  const script = await fileWith("server.mjs", `import { serve } from "${STDIO_SERVER}"; serve({});`);
  const words = [process.execPath, script, "--port", "07", "--help"];
  const gateway = launch(["--port", "0", "--store", "memory:", "--", ...words]);
  await gateway.printed(/^(default) {2}.*\n/m);
  gateway.signal("SIGTERM");
  const { code, stdout } = await gateway.finished;

  expect(stdout.slice(stdout.indexOf("→"))).toBe(
    `→ ${words.join(" ")}  legacy 2025-06-18  memory:\n  stdio-server 1\n${READY}\n`,
  );
  expect(code).toBe(0);
});

test("a server of a file is started in its directory with its environment, which is not shown", async () => {
  const script = await fileWith(
    "server.mjs",
    `import { writeFileSync } from "node:fs"; import { serve } from "${STDIO_SERVER}";
     writeFileSync("environment.json", JSON.stringify(process.env)); serve({});`,
  );
  const file = await fileWith(
    "taskgate.yaml",
    `
listen: { port: 0 }
store: { url: "memory:" }
log: { level: trace }
servers:
  started:
    upstream:
      command: ${process.execPath}
      args: [server.mjs]
      env: { SERVER_KEY: "$\{KEY}" }
      cwd: ${dirname(script)}
`,
  );
  const gateway = launch(["--config", file], { KEY: "secret" });
  await gateway.printed(/^(started) {2}.* legacy 2025-06-18 .*\n/m);
  gateway.signal("SIGTERM");
  const { code, stdout, stderr } = await gateway.finished;

  const environment = JSON.parse(await readFile(join(dirname(script), "environment.json"), "utf8"));
  expect(environment).toMatchObject({ SERVER_KEY: "secret" });
  expect(environment).not.toHaveProperty("KEY");
  expect(stdout + stderr).not.toContain("secret");
  expect(code).toBe(0);
});

test("a server that is not at this path is looked for with inspect", async () => {
  const server = createServer((_, response) => response.writeHead(404).end()).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const lost = `http://127.0.0.1:${(server.address() as AddressInfo).port}/nowhere`;
  const gateway = launch(["--upstream", lost, "--port", "0", "--store", "memory:"]);
  expect(await gateway.printed(/^hint {2}(.*)$/m)).toBe(`mcp-taskgate inspect ${lost} looks for default`);
  gateway.signal("SIGTERM");
  expect((await gateway.finished).code).toBe(0);
});

test("a signal while a server is asked what it is stops the gateway at once, with 0", async () => {
  const silent = await silentServer();
  const gateway = launch(["--upstream", silent.url, "--port", "0", "--store", "memory:"]);
  await silent.asked;
  gateway.signal("SIGTERM");

  const { code, stdout } = await gateway.finished;
  expect(code).toBe(0);
  expect(stdout).toContain("not asked: the gateway stops");
});

test("a second signal ends the process at once", async () => {
  const silent = await silentServer();
  const gateway = launch(["--upstream", silent.url, "--port", "0", "--store", "memory:"]);
  await silent.asked;

  // Two signals of one kind could be delivered as one.
  gateway.signal("SIGTERM");
  gateway.signal("SIGINT");

  expect((await gateway.finished).code).toBe(130);
});

test("serve does not start with a store that cannot be opened", async () => {
  const file = await fileWith("not-a-directory", "");
  const args = ["--upstream", "http://127.0.0.1:1/mcp", "--port", "0", "--store", `level:${file}/data`];
  const { code, stdout, stderr } = await run(args);
  expect(stderr).toMatch(/^error: .*not-a-directory/m);
  expect([code, stdout]).toEqual([2, ""]);
});

test("serve does not start on an address that is taken", async () => {
  const { port } = new URL((await silentServer()).url);
  const args = ["--upstream", "http://127.0.0.1:1/mcp", "--port", port, "--store", "memory:"];
  const { code, stdout, stderr } = await run(args);
  expect(stderr).toMatch(/^error: listen EADDRINUSE.*choose another port with --port \(listen\.port\)$/m);
  expect([code, stdout]).toEqual([2, ""]);
});

test("serve says which tools become tasks, writes a line for each thing that matters, and no more with --quiet", async () => {
  const upstream = await legacyServer(["render_video", "render_page", "echo"]);
  const args = ["--upstream", upstream, "--port", "0", "--store", "memory:", "--tool", "render_*=always"];
  const [loud, quiet] = [launch(args), launch([...args, "--quiet", "--audit"])];
  for (const gateway of [loud, quiet]) {
    await gateway.printed(/^(ready)/m);
    const url = await gateway.printed(/^default {2}(\S+)/m);
    const user = new ModernClient(new URL(url));
    const { taskId } = await user.callTool("render_page");
    await user.settled(taskId);
    gateway.signal("SIGTERM");
  }
  const [{ stdout, stderr }, { stderr: hushed }] = [await loud.finished, await quiet.finished];
  expect(stdout).toContain(
    "\n  legacy 1; 3 tools: 2 always (render_video, render_page), 1 auto (a task after 250 ms)\n",
  );
  const said = (text: string) =>
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  expect(said(stderr).map(({ msg }) => msg)).toEqual([
    "memory: loses every task when the gateway stops",
    "render_page: began",
    expect.stringMatching(/^render_page: completed after /),
    "stopping: no task runs; answering open requests",
  ]);
  expect(said(stderr)[1]).toMatchObject({ server: "default", event: "created", tool: "render_page" });
  const hushedSaid = said(hushed).map(({ msg, audit }) => msg ?? audit);
  expect([...new Set(hushedSaid)].sort()).toEqual([
    "created",
    "ended",
    "memory: loses every task when the gateway stops",
    "read",
  ]);
});

async function legacyServer(tools: readonly string[] = []): Promise<string> {
  const server = await serveLegacy(() => {
    const made = new Server({ name: "legacy", version: "1" }, { capabilities: { tools: {} } });
    if (tools.length === 0) return made;
    made.setRequestHandler(ListToolsRequestSchema, () => ({
      tools: tools.map((name) => ({ name, inputSchema: { type: "object" } })),
    }));
    made.setRequestHandler(CallToolRequestSchema, () => ({ content: [] }));
    return made;
  });
  onTestFinished(() => server.close());
  return server.url.href;
}

/** A server that takes requests and answers none. */
async function silentServer() {
  const server = createServer().listen(0, "127.0.0.1");
  const asked = once(server, "request");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, asked };
}
