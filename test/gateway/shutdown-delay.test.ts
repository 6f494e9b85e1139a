import { request } from "undici";
import { expect, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

/** Long enough for the requests of this test on a busy machine. */
const DELAY_MS = 4_000;

test("a gateway that stops after a delay says that it goes, and goes on as before until then", async (t) => {
  const server = await startScriptedServer({ "tools/call": (call) => call.text("done") });
  t.onTestFinished(() => server.close());
  const limits = { shutdownDelayMs: DELAY_MS, drainTimeoutMs: 0 };
  const { gateway, client } = await gatewayFor({ upstream: server.url, limits });
  const isReady = async () => {
    const { statusCode, body } = await request(new URL("/-/health", gateway.url));
    await body.dump();
    return statusCode;
  };
  expect(await isReady()).toBe(200);

  const closed = gateway.close();
  expect(await isReady()).toBe(503);
  expect(await client({ capabilities: {} }).callTool("quick")).toMatchObject({ resultType: "complete" });
  expect(await isReady()).toBe(503);
  await closed;
  await expect(isReady()).rejects.toThrow();
});
