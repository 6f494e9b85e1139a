import { expect, test } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { modernStory, said } from "../../support/modern-server.ts";
import type { Exchange } from "../../support/scripted-exchange.ts";
import { count, textOf } from "../../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;
const SCHEMA = {
  type: "object",
  properties: {
    region: { type: "string", "x-mcp-header": "Region" },
    nested: { type: "object", properties: { level: { type: "integer", "x-mcp-header": "Level" } } },
    dry: { type: "boolean", "x-mcp-header": "Dry" },
  },
};
const tool = (inputSchema: JsonObject) => ({ tools: [{ name: "anything", inputSchema }] });
const params = ({ headers }: Exchange) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("mcp-param-")));

test.each([
  [
    { region: "us-west1", nested: { level: 42 }, dry: false },
    { "mcp-param-region": "us-west1", "mcp-param-level": "42", "mcp-param-dry": "false" },
  ],
  [{ region: "Zürich", nested: {} }, { "mcp-param-region": "=?base64?WsO8cmljaA==?=" }],
  [{ region: null }, {}],
])("arguments are mirrored in the background: %j", async (args, expected) => {
  const { user, server } = await modernStory(
    { "tools/call": (call) => call.json(said("ok")) },
    ALWAYS,
    tool(SCHEMA),
  );
  const { taskId } = await user.callTool("anything", args, { headers: expected });
  await user.settled(taskId);
  expect(params(await server.arrival("tools/call"))).toEqual(expected);
});

test("the client's own headers are checked against the tool", async () => {
  const { user, server } = await modernStory({}, ALWAYS, tool(SCHEMA));
  const call = (headers: Record<string, string>) =>
    user.send("tools/call", { name: "anything", arguments: { region: "a" } }, { headers });
  for (const headers of [{}, { "mcp-param-region": "b" }]) {
    const answer = await call(headers);
    expect(answer.status).toBe(400);
    expect(answer.message.error.code).toBe(-32020);
  }
  expect(count(server, "tools/call")).toBe(0);
});

test("of annotations that break the rules none is mirrored, and the tool is called all the same", async () => {
  const schema = {
    type: "object",
    properties: { a: { type: "string", "x-mcp-header": "A" }, b: { type: "number", "x-mcp-header": "B" } },
  };
  const { user, server } = await modernStory(
    { "tools/call": (call) => call.json(said("ok")) },
    ALWAYS,
    tool(schema),
  );
  const { taskId } = await user.callTool("anything", { a: "1", b: 2 });
  expect(textOf((await user.settled(taskId)).result)).toBe("ok");
  expect(params(await server.arrival("tools/call"))).toEqual({});
});

test("a schema that has changed is looked up again when the server refuses, and the call is made once more", async () => {
  const { user, server } = await modernStory(
    {
      "tools/call": (call) =>
        call.headers["mcp-param-region"] === undefined
          ? call.error(-32020, "Mcp-Param-Region is missing", { status: 400 })
          : call.json(said("ok")),
    },
    ALWAYS,
    tool({ type: "object" }),
  );
  // As much of the old schema as the gateway knows.
  const before = await user.settled((await user.callTool("anything", {})).taskId);
  expect(before.error.code).toBe(-32020);
  server.on("tools/list", (list) => list.json({ resultType: "complete", ...tool(SCHEMA) }));
  const { taskId } = await user.callTool("anything", { region: "a" });
  expect(textOf((await user.settled(taskId)).result)).toBe("ok");
  const calls = server.received.filter(({ method }) => method === "tools/call");
  expect(calls.slice(-2).map(params)).toEqual([{}, { "mcp-param-region": "a" }]);
});

test("a client that knows the tool as it is now is not refused for what the gateway knew before", async () => {
  const annotated = (header: string) =>
    tool({ type: "object", properties: { region: { type: "string", "x-mcp-header": header } } });
  const { user, server } = await modernStory(
    { "tools/call": (call) => call.json(said("ok")) },
    ALWAYS,
    annotated("Region"),
  );
  const call = (headers: Record<string, string>) =>
    user.send("tools/call", { name: "anything", arguments: { region: "a" } }, { headers });
  expect((await call({ "mcp-param-region": "a" })).message.result.resultType).toBe("task");
  server.on("tools/list", (list) => list.json({ resultType: "complete", ...annotated("Zone") }));
  await expect
    .poll(async () => (await call({ "mcp-param-zone": "a" })).message.result?.resultType, { timeout: 60_000 })
    .toBe("task");
  // A header that does not fit is refused all the same.
  expect((await call({ "mcp-param-zone": "b" })).message.error.code).toBe(-32020);
});
