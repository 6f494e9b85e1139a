/** The AI SDK subscribes, is verified, and takes events: it checks signatures, and that `webhook-id` is the id of the event. */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test, vi } from "vitest";
import { aiSdkMcp, newerNode } from "../peers/peers.ts";
import type { Json } from "../support/modern-client.ts";
import { EVERYTHING, story, textResult } from "../support/story.ts";
import { EVENT, EVENTS } from "./callback.ts";

const PROGRAM = join(import.meta.dirname, "programs/ai-sdk.mjs");
const WAIT = { timeout: 60_000, interval: 20 } as const;

test("the AI SDK's client subscribes, and its receiver takes what its tasks become", async () => {
  const { client, url } = await story(
    { "tools/call": (call) => call.json(textResult("done")) },
    {
      callers: { identify: "header", header: "x-user", trustedProxies: ["127.0.0.1"] },
      policy: { mode: "always" },
      events: EVENTS,
    },
  );
  const child = spawn(newerNode(), [PROGRAM, aiSdkMcp(), url.href, "ada"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const said: Json[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => said.push(JSON.parse(line)));
  const until = (kind: string, count = 1) =>
    vi.waitUntil(() => said.filter((one) => one.kind === kind).length >= count, WAIT);
  await until("granted");
  expect(said.slice(0, 3)).toMatchObject([
    { kind: "listed", events: [{ name: EVENT, delivery: ["webhook"] }] },
    // The challenge.
    { kind: "answered", status: 200 },
    { kind: "granted" },
  ]);
  const { id } = said[2];
  const ada = client({ capabilities: EVERYTHING, headers: { "x-user": "ada" } });
  const { taskId } = await ada.callTool("quick");
  await until("event");
  const event = said.find((one) => one.kind === "event");
  expect(event).toMatchObject({
    subscription: id,
    event: { name: EVENT, data: { taskId, status: "completed", tool: "quick" } },
  });
  await until("answered", 2);
  expect(said.filter((one) => one.kind === "answered").map(({ status }) => status)).toEqual([200, 204]);
  child.stdin.write("\n");
  await until("granted", 2);
  expect(said.filter((one) => one.kind === "granted")).toEqual([
    { kind: "granted", id },
    { kind: "granted", id },
  ]);
  child.stdin.end();
  await until("ended");
  expect(said.filter((one) => one.kind === "error")).toEqual([]);
});
