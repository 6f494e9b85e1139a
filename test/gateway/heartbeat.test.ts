/** Progress of the gateway's own while a server is silent, for clients that gave a token (`tasks.heartbeat`). */

import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { LegacyWire } from "../support/legacy-wire.ts";
import type { Json, ModernClient } from "../support/modern-client.ts";
import { complete, modernStory } from "../support/modern-server.ts";
import type { Script } from "../support/scripted-server.ts";
import { gate, story, textResult } from "../support/story.ts";
import { talks } from "./paired/talks.ts";

const OFTEN = { policy: { heartbeatMs: 40 } } as const;

/** Reports progress, is silent, reports some more, and answers. */
function pausing(opened: Promise<void>): Script {
  return async (call) => {
    const stream = call.sse();
    const { progressToken } = (call.message.params?._meta ?? {}) as JsonObject;
    const tell = (progress: number) =>
      stream.event({
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { progressToken, progress, total: 4 },
      });
    tell(0);
    await opened;
    tell(3);
    stream.event(call.answer(complete(textResult("done"))));
    stream.end();
  };
}

function expectGrowing(messages: readonly Json[], token: unknown) {
  const progress = messages.filter(({ method }) => method === "notifications/progress");
  expect(progress.every(({ params }) => params.progressToken === token)).toBe(true);
  const values = progress.map(({ params }) => params.progress);
  expect(values).toEqual([...new Set(values)].toSorted((a, b) => a - b));
  const own = progress.filter(({ params }) => params.total !== undefined);
  const ours = progress.filter(({ params }) => params.total === undefined);
  expect(ours.length).toBeGreaterThan(0);
  for (const { params } of ours) expect(params.message).toMatch(/^still running, \d+ s$/);
  return own.map(({ params }) => params.progress);
}

const isOurs = ({ method, params }: Json) =>
  method === "notifications/progress" && params.message?.startsWith("still running");

describe.each(["2025-11-25", "2025-06-18"])("a client of %s", (version) => {
  test("hears it between the server's own progress, whose bytes pass", async () => {
    const { opened, open } = gate();
    const { url } = await story({ "tools/call": pausing(opened) }, OFTEN);
    const client = await LegacyWire.connect(url, { version });
    const call = client.open("tools/call", { name: "t", _meta: { progressToken: "p" } });
    await call.next(isOurs, "a heartbeat");
    open();
    await call.answer;
    expect(expectGrowing(call.messages, "p")).toEqual([0, 3]);
  });

  test("hears it from a server that says nothing at all, and its answer then", async () => {
    const { opened, open } = gate();
    const script: Script = async (call) => {
      await opened;
      call.json(textResult("done"));
    };
    const { url } = await story({ "tools/call": script }, OFTEN);
    const client = await LegacyWire.connect(url, { version });
    const call = client.open("tools/call", { name: "t", _meta: { progressToken: 7 } });
    await call.next(isOurs, "a heartbeat");
    open();
    expect((await call.answer).message.result).toEqual(textResult("done"));
    expect(expectGrowing(call.messages, 7)).toEqual([]);
  });

  test("without a token hears nothing", async () => {
    const { opened, open } = gate();
    const { url } = await story({ "tools/call": pausing(opened) }, OFTEN);
    const client = await LegacyWire.connect(url, { version });
    const call = client.open("tools/call", { name: "t" });
    const other = client.open("tools/call", { name: "t", _meta: { progressToken: "p" } });
    await other.next(isOurs, "a heartbeat");
    open();
    await call.answer;
    expect(call.messages.some(isOurs)).toBe(false);
  });

  test("hears it in a paired session, and nothing after the answer", async () => {
    const { url } = await talks(OFTEN);
    const client = await LegacyWire.connect(url, { version });
    const params = { name: "wait", arguments: { key: "a" }, _meta: { progressToken: "p" } };
    const call = client.open("tools/call", params);
    await call.next(isOurs, "a heartbeat");
    await client.notify("x/let", { key: "a" });
    await call.answer;
    expect(expectGrowing(call.messages.slice(0, -1), "p")).toEqual([]);
  });
});

test("a task of 2025-11-25 is heard of under the token of its call, on the session's stream", async () => {
  const { opened, open } = gate();
  const policy = { ...OFTEN.policy, mode: "always" } as const;
  const { url } = await story({ "tools/call": pausing(opened) }, { policy });
  const client = await LegacyWire.connect(url);
  const stream = await client.listen();
  const { taskId } = await client.begin("t", { _meta: { progressToken: "p" } });
  await stream.next(isOurs, "a heartbeat");
  open();
  await client.result("tasks/result", { taskId });
  await stream.next(({ params }) => params?.status === "completed", "the end of the task");
  expectGrowing(stream.messages, "p");
});

test.each([
  ["an older server", story],
  ["a server of 2026-07-28", modernStory],
] as const)("a client of 2026-07-28 before %s hears it", async (_, storyOf) => {
  const { opened, open } = gate();
  const { client } = await storyOf({ "tools/call": pausing(opened) }, OFTEN);
  const user: ModernClient = client({ capabilities: {} });
  const heard: Json[] = [];
  const params = { name: "anything", arguments: {} };
  for await (const message of user.stream("tools/call", params, { meta: { progressToken: "p" } })) {
    heard.push(message);
    if (isOurs(message)) open();
  }
  expect(heard.at(-1).result).toMatchObject(textResult("done"));
  expect(expectGrowing(heard.slice(0, -1), "p")).toEqual([0, 3]);
});
