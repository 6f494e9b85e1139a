import { expect, test } from "vitest";
import { startGatewayProcess } from "./gateway-process.ts";
import { startScriptedServer } from "./scripted-server.ts";

test("a gateway process is ready when it says its route, and ends as it is told", async ({
  onTestFinished,
}) => {
  const server = await startScriptedServer();
  onTestFinished(server.close);
  const gateway = await startGatewayProcess([
    "--upstream",
    server.url.href,
    "--port",
    "0",
    "--store",
    "memory:",
  ]);

  expect(gateway.url.pathname).toBe("/mcp");
  expect(gateway.url.port).not.toBe("0");
  expect(gateway.stdout).toContain(server.url.href);
  expect((await fetch(gateway.url)).status).toBeLessThan(500);
  expect(await gateway.kill("SIGKILL")).toEqual({ code: null, signal: "SIGKILL" });
});

test("a gateway process that does not start rejects with what it said", async () => {
  await expect(startGatewayProcess(["--upstream", "ftp://x"])).rejects.toThrow(
    /before it was ready[\s\S]*ftp:\/\/x/,
  );
});
