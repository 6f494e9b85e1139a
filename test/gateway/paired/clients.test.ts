/** Published clients of the v1 SDK over Streamable HTTP, before published servers that speak something else. */

import { describe, expect, test } from "vitest";
import { type EverythingRelease, everything, type SdkRelease, sdk } from "../../peers/peers.ts";
import { peersMissing } from "../../real/peers-missing.ts";
import { startEverything } from "../../support/everything-process.ts";
import { type GatewayUnderTest, gatewayFor } from "../../support/gateway.ts";
import { connectLegacy, knowsElicitation } from "../../support/legacy-client.ts";

const CLIENTS: readonly SdkRelease[] = ["1.10", "1.22", "1.32"];
const SERVERS = [
  ["2025.4.28", "stdio"],
  ["2025.12.18", "stdio"],
  ["2025.12.18", "sse"],
] as const;
const ROWS = CLIENTS.flatMap((client) =>
  SERVERS.map(([release, transport]) => ({ client, release, transport })),
);

const missing = peersMissing("v1 clients before server-everything over stdio and HTTP+SSE", () => [
  ...CLIENTS.map((client) => sdk(client, "client/index")),
  ...SERVERS.map(([release, transport]) => everything(release, transport)),
]);

describe.skipIf(missing).each(ROWS)(
  "a client of SDK $client, server-everything $release over $transport",
  (row) => {
    test("lists what there is, calls, and hears of progress", async () => {
      const { client, heard } = await connected(row);
      expect(client.getServerVersion()?.name).toBe("example-servers/everything");
      const { tools } = await client.listTools();
      expect(tools.map(({ name }) => name)).toContain("longRunningOperation");
      expect((await client.listResources()).resources.length).toBeGreaterThan(0);
      expect((await client.listPrompts()).prompts.length).toBeGreaterThan(0);
      expect(await client.callTool({ name: "echo", arguments: { message: "é✓" } })).toMatchObject({
        content: [{ text: "Echo: é✓" }],
      });
      const steps: number[] = [];
      const long = { name: "longRunningOperation", arguments: { duration: 0.4, steps: 2 } };
      const result = await client.callTool(long, undefined, {
        onprogress: ({ progress }) => void steps.push(progress),
      });
      expect(JSON.stringify(result.content)).toContain("Steps: 2");
      expect(steps).toEqual([1, 2]);
      expect(heard.length).toBeGreaterThan(0);
    });

    test("has its model sample, and its user fill in a form", async () => {
      const { client, asked } = await connected(row);
      const { content } = await client.callTool({ name: "sampleLLM", arguments: { prompt: "Capital?" } });
      expect(JSON.stringify(content)).toContain("Paris");
      const { tools } = await client.listTools();
      const hasForms = tools.some(({ name }) => name === "startElicitation");
      expect(hasForms).toBe(knowsElicitation(row.client) && row.release === "2025.12.18");
      const forms = hasForms ? [await client.callTool({ name: "startElicitation", arguments: {} })] : [];
      expect(asked).toHaveLength(1 + forms.length);
    });

    test("ends its session, and can begin another", async () => {
      const { url, terminate } = await connected(row);
      await terminate();
      const { client } = await connectLegacy(row.client, url);
      expect((await client.listTools()).tools.length).toBeGreaterThan(0);
    });
  },
);

async function connected({ client, release, transport }: (typeof ROWS)[number]) {
  const { url } = await inFrontOf(release, transport);
  return { url, ...(await connectLegacy(client, url)) };
}

async function inFrontOf(release: EverythingRelease, transport: "stdio" | "sse"): Promise<GatewayUnderTest> {
  const upstream =
    transport === "sse"
      ? await startEverything(release, "sse")
      : { command: process.execPath, args: [everything(release, "stdio")] };
  return gatewayFor({ upstream });
}
