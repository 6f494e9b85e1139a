/** What stories about servers that mean harm have in common. */

import { expect } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import type { Json, ModernClient } from "../../support/modern-client.ts";
import type { Script } from "../../support/scripted-server.ts";
import { type StorySettings, story } from "../../support/story.ts";

/** Everything becomes a task, and a call that hangs is one that fails its test. */
export const AS_TASK: StorySettings = { policy: { mode: "always", maxRuntimeMs: 20_000 } };

/** Calls a tool that becomes a task, and waits for how that ends. */
export async function outcome(user: ModernClient, name = "evil"): Promise<Json> {
  const { taskId } = await user.callTool(name);
  return user.settled(taskId);
}

/** Answers `good` like any tool, and does everything else as told. */
export function besides(evil: Script): Script {
  return (call) => (call.message.params?.name === "good" ? call.text("good") : evil(call));
}

/** One server that does something else in each of its tools, all at once; how each of the tasks ended, and that others are served. */
export async function outcomes(
  evils: readonly (readonly [tool: string, evil: Script])[],
): Promise<Map<string, Json>> {
  const scripts = new Map(evils);
  const { user } = await story(
    { "tools/call": besides((call) => scripts.get(String(call.message.params?.name))?.(call)) },
    AS_TASK,
  );
  const tools = [...scripts.keys()];
  const tasks = await Promise.all(tools.map((tool) => outcome(user, tool)));
  await expectServed(user);
  return new Map(tools.map((tool, nth) => [tool, tasks[nth]]));
}

/** Others are served as if nothing had happened. */
export async function expectServed(user: ModernClient): Promise<void> {
  expect(await outcome(user, "good")).toMatchObject({
    status: "completed",
    result: { content: [{ text: "good" }] },
  });
}

export function nested(depth: number): string {
  return `${"[".repeat(depth)}${"]".repeat(depth)}`;
}

/** The text of an answer whose result is anything but what can be written in one go. */
export function answerText(id: unknown, member: string): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"content":[],"x":${member}}}`;
}

/** Writes as fast as is read, until nobody reads any more or `most` have been written. How many that were. */
export async function flood(
  call: Parameters<Script>[0],
  chunk: (count: number) => string | Buffer,
  most: number,
): Promise<number> {
  const { response } = call;
  let count = 0;
  while (count < most && !response.destroyed) {
    count += 1;
    if (!response.write(chunk(count))) {
      await Promise.race([new Promise((resolve) => response.once("drain", resolve)), call.closed]);
    }
  }
  return count;
}

export function progress(token: unknown, params: JsonObject): JsonObject {
  return { jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: token, ...params } };
}

/** The token that a call asks for progress with. */
export function tokenOf(call: Parameters<Script>[0]): unknown {
  return (call.message.params?._meta as JsonObject | undefined)?.progressToken;
}
