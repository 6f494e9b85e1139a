/** `mode: observe` is `never` on the wire, with the counting and without: for the client byte for byte, and for its server. */

import { expect, onTestFinished, test } from "vitest";
import { REQUESTS } from "../differential/requests.ts";
import { legacyTwin, modernTwin } from "../differential/twins.ts";
import { gatewayFor } from "../support/gateway.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { story, textResult } from "../support/story.ts";
import { differences, type Recorded } from "./recording.ts";
import { speak } from "./script.ts";

const NEVER = { policy: { mode: "never", fallback: { afterMs: 1, prefix: "taskgate_" } } } as const;
const OBSERVE = { policy: { ...NEVER.policy, mode: "observe" }, admin: true } as const;

test.each(["2025-06-18", "2025-11-25"])("in a session of %s", async (version) => {
  const heard = [NEVER, OBSERVE].map(async (settings) => {
    const server = await startLegacyEverythingServer({ asksOn: "call", isResumable: true });
    onTestFinished(server.close);
    const { url } = await gatewayFor({ upstream: server.url, ...settings });
    return speak(url, {
      version,
      plain: ["test_image_content"],
      progress: ["test_tool_with_progress"],
      asks: ["test_elicitation", { message: "Who?" }],
      tells: { tool: ["test_trigger_tool_change"], text: "list_changed" },
    });
  });
  const [never = {}, observe = {}] = await Promise.all(heard);
  expect(Object.keys(observe)).toEqual(Object.keys(never));
  expect(Object.keys(never).length).toBeGreaterThan(5);
  const wrong = Object.entries(never).flatMap(([name, answer]) =>
    differences(answer, observe[name] as Recorded),
  );
  expect(wrong).toEqual([]);
});

test.each([
  ["an older server", legacyTwin],
  ["a server of its revision", modernTwin],
])("for a client of 2026-07-28 before %s", async (_, start) => {
  const upstream = await start();
  const never = await gatewayFor({ upstream, ...NEVER });
  const observe = await gatewayFor({ upstream, ...OBSERVE });
  for (const send of Object.values(REQUESTS))
    expect(steady(await send(observe.url))).toEqual(steady(await send(never.url)));
});

test("for the server", async () => {
  const received = [NEVER, OBSERVE].map(async (settings) => {
    const { user, server } = await story({ "tools/call": (call) => call.json(textResult("done")) }, settings);
    await user.callTool("t");
    return server.received.map(({ method, message: { params } }) => {
      const { _meta, ...rest } = params ?? {};
      return [method, rest, Object.keys(_meta ?? {})];
    });
  });
  const [never, observe] = await Promise.all(received);
  expect(observe).toEqual(never);
});

/** Without the moment of the answer. */
function steady({ headers, ...answer }: Awaited<ReturnType<(typeof REQUESTS)[string]>>) {
  const { date: _, ...rest } = headers as Record<string, unknown>;
  return { ...answer, headers: rest };
}
