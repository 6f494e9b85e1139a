/** A server that has tasks of its own keeps them, and the gateway adds none. */

import { expect, test } from "vitest";
import { LegacyWire } from "../../support/legacy-wire.ts";
import type { Script } from "../../support/scripted-server.ts";
import { EVERYTHING, gate, story } from "../../support/story.ts";

const CAPABILITIES = { tools: {}, tasks: { requests: { tools: { call: {} } } } };
const TOOLS = [{ name: "t", inputSchema: { type: "object" }, execution: { taskSupport: "required" } }];

/** Answers with what it was asked. */
const echoes: Script = (request) => request.json({ asked: request.message.params });

const OWN: Readonly<Record<string, Script>> = {
  "tools/call": echoes,
  "tasks/get": echoes,
  "tasks/result": echoes,
  "tasks/cancel": echoes,
  "tasks/list": echoes,
};

test("a server with tasks of its own declares them itself, word for word", async () => {
  const { url } = await story(OWN, {}, { capabilities: CAPABILITIES, tools: TOOLS });
  const user = await LegacyWire.connect(url);
  expect(user.initialized.capabilities).toEqual(CAPABILITIES);
  expect(await user.result("tools/list")).toEqual({ tools: TOOLS });
});

test("calls as tasks, and everything about its tasks, go to it", async () => {
  const settings = { policy: { mode: "never" } } as const;
  const { url } = await story(OWN, settings, { capabilities: CAPABILITIES, tools: TOOLS });
  const user = await LegacyWire.connect(url);
  const call = { name: "t", task: { ttl: 5 } };
  expect(await user.result("tools/call", call)).toEqual({ asked: call });
  for (const method of ["tasks/get", "tasks/result", "tasks/cancel"])
    expect(await user.result(method, { taskId: "its-own" })).toEqual({ asked: { taskId: "its-own" } });
  expect(await user.result("tasks/list", {})).toEqual({ asked: {} });
});

test("tasks that the gateway made for modern clients can be asked for all the same", async () => {
  const done = gate();
  const script: Script = async (call) => {
    await done.opened;
    call.text("done");
  };
  const settings = { policy: { mode: "always" } } as const;
  const told = await story({ ...OWN, "tools/call": script }, settings, { capabilities: CAPABILITIES });
  const user = await LegacyWire.connect(told.url);
  const modern = told.client({ capabilities: EVERYTHING });
  const { taskId } = await modern.callTool("t");
  expect(await user.result("tasks/get", { taskId })).toMatchObject({ taskId, status: "working" });
  done.open();
  expect(await user.result("tasks/result", { taskId })).toMatchObject({
    content: [{ type: "text", text: "done" }],
    _meta: { "io.modelcontextprotocol/related-task": { taskId } },
  });
});

test("an answer under an id like ours, to what the gateway never asked, goes to it", async () => {
  const { url, server } = await story(OWN, {}, { capabilities: CAPABILITIES });
  const user = await LegacyWire.connect(url);
  const { status } = await user.respond("taskgate:of-another-gateway:key", { result: { action: "accept" } });
  expect(status).toBe(202);
  const answer = await server.arrival("answer");
  expect(answer.message).toEqual({
    jsonrpc: "2.0",
    id: "taskgate:of-another-gateway:key",
    result: { action: "accept" },
  });
});

test("a server that is only reached after the gateway was started is asked first", async () => {
  const { url, server } = await story(
    { ...OWN, initialize: (request) => request.error(-32603, "not yet", { status: 503 }) },
    {},
    { capabilities: CAPABILITIES },
  );
  server.on("initialize", (request) =>
    request.json({
      protocolVersion: "2025-11-25",
      capabilities: CAPABILITIES,
      serverInfo: { name: "late", version: "1" },
    }),
  );
  const user = await LegacyWire.connect(url);
  expect(await user.result("tasks/get", { taskId: "its-own" })).toEqual({ asked: { taskId: "its-own" } });
});
