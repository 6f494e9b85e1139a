/** What reaches a legacy client by its streams, from servers that can be looked into: first directly, then through the gateway. */

import { describe, expect, onTestFinished, test } from "vitest";
import { type SdkRelease, sdk } from "../peers/peers.ts";
import { gatewayFor } from "../support/gateway.ts";
import { connectLegacy } from "../support/legacy-client.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import type { Json } from "../support/modern-client.ts";
import { textOf } from "../support/story.ts";
import { peersMissing } from "./peers-missing.ts";

const RELEASES = ["1.10", "1.22", "1.32"] as const;
const WAYS = ["directly", "through the gateway"] as const;
const WATCHED = "test://watched-resource";

const missing = peersMissing("The clients of the v1 SDK", () =>
  RELEASES.map((release) => sdk(release, "client/index")),
);

describe.skipIf(missing).each(RELEASES.flatMap((release) => WAYS.map((way) => ({ release, way }))))(
  "the client of the SDK $release, $way",
  ({ release, way }) => {
    test("hears what a call writes to the log while it runs", async () => {
      const { client, heard } = await inFrontOfEverything(release, way);

      await client.setLoggingLevel("debug");
      await client.callTool({ name: "test_tool_with_logging", arguments: {} });

      const logged = heard.filter(({ method }) => method === "notifications/message");
      expect(logged.map(({ params }) => params.data)).toEqual([
        "Tool execution started",
        "Tool processing data",
        "Tool execution completed",
      ]);
    });

    test("hears of the resources that it watches, and of no others", async () => {
      const { client, heard, notified } = await inFrontOfEverything(release, way);
      const touch = (uri: string) => client.callTool({ name: "test_touch_resource", arguments: { uri } });

      await client.subscribeResource({ uri: WATCHED });
      await touch("test://static-text");
      await touch(WATCHED);

      expect(await notified("notifications/resources/updated")).toEqual({ uri: WATCHED });
      await client.unsubscribeResource({ uri: WATCHED });
      await touch(WATCHED);
      await client.callTool({ name: "test_trigger_tool_change", arguments: {} });
      await notified("notifications/tools/list_changed");
      expect(heard.filter(({ method }) => method === "notifications/resources/updated")).toHaveLength(1);
    });

    test("hears of lists that have changed, and finds them changed", async () => {
      const { client, notified } = await inFrontOfEverything(release, way);

      await client.callTool({ name: "test_trigger_prompt_change", arguments: {} });
      await notified("notifications/prompts/list_changed");

      expect((await client.listPrompts()).prompts.map(({ name }) => name)).toContain("test_dynamic_prompt");
    });

    test("cancels a call at the server", async () => {
      const server = await startLegacyTasksServer();
      onTestFinished(server.close);
      const { client } = await connectLegacy(release, await reached(server.url, way));
      const cancelling = new AbortController();
      const call = client.callTool(
        { name: "slow_compute", arguments: { seconds: 60, label: "It" } },
        undefined,
        { signal: cancelling.signal },
      );
      const failure = call.catch(String);
      await server.until((calls) => calls.length === 1, "the call");

      cancelling.abort("not needed");

      expect(await failure).toContain("not needed");
      await server.until(([first]) => first?.state === "cancelled", "the call to be cancelled");
    });

    test("ends its session at the server", async () => {
      const server = await startLegacyEverythingServer();
      onTestFinished(server.close);
      const { client, terminate } = await connectLegacy(release, await reached(server.url, way));
      await client.ping();
      const before = server.sessions;

      await terminate();

      expect(before - server.sessions).toBe(1);
    });
  },
);

test.each(WAYS)("the client of the SDK 1.32 gets a result whose stream was cut, %s", async (way) => {
  const { client, heard } = await inFrontOfEverything("1.32", way);

  const result = await client.callTool({ name: "test_reconnection", arguments: {} });

  expect(heard[0].result.protocolVersion).toBe("2025-11-25");
  expect(textOf(result as Json)).toBe("Somebody came back for this");
});

async function inFrontOfEverything(release: SdkRelease, way: (typeof WAYS)[number]) {
  const server = await startLegacyEverythingServer({ isResumable: true });
  onTestFinished(server.close);
  return connectLegacy(release, await reached(server.url, way));
}

async function reached(server: URL, way: (typeof WAYS)[number]): Promise<URL> {
  return way === "directly" ? server : (await gatewayFor({ upstream: server })).url;
}
