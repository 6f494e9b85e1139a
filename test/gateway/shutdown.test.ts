import { expect, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

/** A server whose only tool answers when it is told to. */
async function patientServer(onTestFinished: (fn: () => Promise<void>) => void) {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const server = await startScriptedServer({
    "tools/call": async (call) => {
      await Promise.race([released, call.closed]);
      call.json({ content: [{ type: "text", text: "done" }] });
    },
  });
  onTestFinished(() => server.close());
  return { server, release };
}

test("a client that waits for a result gets it from a gateway that is stopping", async (t) => {
  const { server, release } = await patientServer(t.onTestFinished);
  const { gateway, client } = await gatewayFor({ upstream: server.url, limits: { drainTimeoutMs: 5_000 } });
  const answer = client({ capabilities: {} }).callTool("patient");
  await server.arrival("tools/call");

  const closed = gateway.close();
  release();
  expect(await answer).toMatchObject({ resultType: "complete", content: [{ type: "text", text: "done" }] });
  await closed;
  await server.until(() => server.pending === 0, "the gateway has let go of the server");
});

test("a gateway that is stopping begins no call, and takes no longer than its drain timeout", async (t) => {
  const { server } = await patientServer(t.onTestFinished);
  const { gateway, client } = await gatewayFor({ upstream: server.url, limits: { drainTimeoutMs: 300 } });
  const modern = client({ capabilities: {} });
  const unanswered = modern.callTool("patient").catch((error: Error) => error);
  await server.arrival("tools/call");

  await gateway.close();
  expect(await unanswered).toBeInstanceOf(Error);
  await expect(modern.callTool("patient")).rejects.toThrow();
  expect(server.received.filter(({ method }) => method === "tools/call")).toHaveLength(1);
});
