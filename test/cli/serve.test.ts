import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { expect, onTestFinished, test } from "vitest";
import { serveLegacy } from "../support/legacy-http.ts";
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

  const [route] = stdout.split("\n");
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
    `→ ${words.join(" ")}  legacy 2025-06-18  memory:\n${READY}\n`,
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

async function legacyServer(): Promise<string> {
  const server = await serveLegacy(
    () => new Server({ name: "legacy", version: "1" }, { capabilities: { tools: {} } }),
  );
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
