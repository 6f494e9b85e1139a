import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { expect, onTestFinished, test } from "vitest";
import { startEverything } from "./everything-process.ts";

test.each(["2025.4.28", "2025.9.25", "2025.12.18"] as const)(
  "server-everything %s answers a client",
  async (release) => {
    const url = await startEverything(release);
    expect(await echo(new StreamableHTTPClientTransport(url) as Transport)).toMatchObject({
      content: [{ text: "Echo: hello" }],
    });
  },
);

test("server-everything answers a client over HTTP+SSE", async () => {
  const url = await startEverything("2025.9.25", "sse");
  expect(await echo(new SSEClientTransport(url))).toMatchObject({ content: [{ text: "Echo: hello" }] });
});

async function echo(transport: Transport): Promise<unknown> {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  onTestFinished(() => client.close());
  return client.callTool({ name: "echo", arguments: { message: "hello" } });
}
