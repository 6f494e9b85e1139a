/** What a session of 2025-11-25 is told of tasks (Tasks §Capabilities, §Tool-Level Negotiation). */

import { expect, test } from "vitest";
import { byName, LegacyWire } from "../../support/legacy-wire.ts";
import { story } from "../../support/story.ts";

const TOOLS = ["a", "b", "c", "d"].map((name) => ({ name, inputSchema: { type: "object" } }));
const RULES = [
  { match: "a", mode: "never" },
  { match: "b", mode: "auto" },
  { match: "c", mode: "always" },
  { match: "d", mode: "required" },
] as const;

test("a session is told that tools can be called as tasks, and cancelled, but not listed", async () => {
  const { url } = await story({}, {}, { capabilities: { tools: { listChanged: true }, "x-other": 1 } });
  const { initialized } = await LegacyWire.connect(url);
  expect(initialized).toEqual({
    protocolVersion: "2025-11-25",
    capabilities: {
      tools: { listChanged: true },
      "x-other": 1,
      tasks: { cancel: {}, requests: { tools: { call: {} } } },
    },
    serverInfo: { name: "scripted", version: "1.0.0" },
  });
});

test("tasks can be listed where callers are told apart", async () => {
  const { url } = await story({}, { identify: byName });
  const { initialized } = await LegacyWire.connect(url, { headers: { "x-user": "ada" } });
  expect(initialized.capabilities.tasks).toEqual({
    list: {},
    cancel: {},
    requests: { tools: { call: {} } },
  });
});

test("where they are not, tasks/list is no method", async () => {
  const { url, server } = await story({});
  const user = await LegacyWire.connect(url);
  expect(await user.error("tasks/list")).toMatchObject({
    code: -32601,
    message: expect.stringContaining("tasks/list"),
  });
  expect(server.received.map(({ method }) => method)).not.toContain("tasks/list");
});

test.each(["2024-11-05", "2025-03-26", "2025-06-18"])(
  "a session of %s hears of no tasks",
  async (version) => {
    const { url } = await story({}, { tools: RULES }, { tools: TOOLS });
    const user = await LegacyWire.connect(url, { version });
    expect(user.initialized.capabilities).toEqual({ tools: {} });
    expect((await user.result("tools/list")).tools).toEqual(TOOLS);
  },
);

test("a session that the server brought down to an older revision hears of none either", async () => {
  const { url } = await story({}, {}, { protocolVersion: "2025-06-18", tools: TOOLS });
  const user = await LegacyWire.connect(url, { version: "2025-06-18" });
  expect(user.initialized.capabilities).toEqual({ tools: {} });
});

test("a server without tools has nothing to make tasks of", async () => {
  const { url } = await story({}, {}, { capabilities: { prompts: {} } });
  const { initialized } = await LegacyWire.connect(url);
  expect(initialized.capabilities).toEqual({ prompts: {} });
});

test("each tool says what the policy says of it", async () => {
  const { url } = await story({}, { tools: RULES }, { tools: TOOLS });
  const user = await LegacyWire.connect(url);
  const { tools } = await user.result("tools/list");
  expect(tools).toEqual([
    { ...TOOLS[0], execution: { taskSupport: "forbidden" } },
    { ...TOOLS[1], execution: { taskSupport: "optional" } },
    { ...TOOLS[2], execution: { taskSupport: "optional" } },
    { ...TOOLS[3], execution: { taskSupport: "required" } },
  ]);
});

test("what a server says of it by accident does not count, and what else it says stays", async () => {
  const tools = [
    { ...TOOLS[1], execution: { taskSupport: "forbidden", "x-other": [1] } },
    { ...TOOLS[0], execution: { taskSupport: "required" } },
  ];
  const { url } = await story({}, { tools: RULES }, { tools });
  const user = await LegacyWire.connect(url);
  const listed = await user.result("tools/list");
  expect(listed.tools).toEqual([
    { ...TOOLS[1], execution: { taskSupport: "optional", "x-other": [1] } },
    { ...TOOLS[0], execution: { taskSupport: "forbidden" } },
  ]);
});

test("a list that comes as a stream is changed as well, and so is each of its pages", async () => {
  const { url } = await story({
    "tools/list": (list) => {
      const stream = list.sse();
      stream.notify("notifications/message", { level: "info", data: "listing" });
      stream.event(list.answer({ tools: [TOOLS[1]], nextCursor: "more" }));
      stream.end();
    },
  });
  const user = await LegacyWire.connect(url);
  const { message, before } = await user.send("tools/list", { cursor: "some" });
  expect(message.result).toEqual({
    tools: [{ ...TOOLS[1], execution: { taskSupport: "optional" } }],
    nextCursor: "more",
  });
  expect(before).toEqual([expect.objectContaining({ method: "notifications/message" })]);
});
