/** A client that is not on HTTP, in front of a server of 2026-07-28 that is. */

import { PassThrough } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { serveStdio } from "../../../src/gateway.ts";
import { createLog } from "../../../src/log/log.ts";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { ENVELOPE } from "../../http/served.ts";
import { Conditions } from "../../support/conditions.ts";
import { configFor } from "../../support/gateway.ts";
import type { Json } from "../../support/modern-client.ts";
import { complete, modernScripts, STATELESS, said } from "../../support/modern-server.ts";
import { type Script, startScriptedServer } from "../../support/scripted-server.ts";

const SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId";
const SCHEMA = { type: "object", properties: { region: { type: "string", "x-mcp-header": "Region" } } };

async function onLines(scripts: Readonly<Record<string, Script>>) {
  const tools = [{ name: "anything", inputSchema: SCHEMA }];
  const server = await startScriptedServer({ ...modernScripts({ tools }), ...scripts }, STATELESS);
  onTestFinished(server.close);
  const [input, output] = [new PassThrough(), new PassThrough()];
  const gateway = await serveStdio(configFor({ upstream: server.url }), {
    input,
    output,
    log: createLog("silent"),
  });
  onTestFinished(() => gateway.close());
  const heard: Json[] = [];
  const conditions = new Conditions(() => `heard ${JSON.stringify(heard)}`);
  output.setEncoding("utf8").on("data", (text: string) => {
    for (const line of text.split("\n").filter((each) => each !== "")) heard.push(JSON.parse(line));
    conditions.check();
  });
  const tell = (message: JsonObject) =>
    void input.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  return {
    server,
    gateway,
    heard,
    tell,
    ask: async (id: string, method: string, params: JsonObject = {}): Promise<Json> => {
      tell({ id, method, params: { ...params, _meta: ENVELOPE } });
      return conditions.found(() => heard.find((message) => message.id === id), `the answer to ${method}`);
    },
    open: (id: string, method: string, params: JsonObject) =>
      tell({ id, method, params: { ...params, _meta: ENVELOPE } }),
    until: (isSo: () => boolean, what: string) => conditions.found(() => isSo() || undefined, what),
  };
}

test("what is not ours passes message by message, and discovery tells of tasks", async () => {
  const { ask, server } = await onLines({
    "vendor/x": (call) => call.json(complete({ got: call.message.params })),
    "vendor/y": (call) => call.error(-32050, "no", { data: { why: 1 } }),
    "tools/call": (call) => call.json(said("called")),
  });
  const { result } = await ask("a", "server/discover");
  expect(result.capabilities).toEqual({
    tools: { listChanged: true },
    extensions: { "io.modelcontextprotocol/tasks": {} },
  });
  expect((await ask("b", "vendor/x", { odd: [1] })).result.got).toEqual({ odd: [1], _meta: ENVELOPE });
  expect((await ask("c", "vendor/y")).error).toEqual({ code: -32050, message: "no", data: { why: 1 } });
  const call = await ask("d", "tools/call", { name: "anything", arguments: { region: "zürich" } });
  expect(call.result.content).toEqual([{ type: "text", text: "called" }]);
  expect((await server.arrival("tools/call")).headers).toMatchObject({
    "mcp-name": "anything",
    "mcp-param-region": "=?base64?esO8cmljaA==?=",
  });
});

const listens: Script = (call) => {
  const _meta = { [SUBSCRIPTION]: call.message.id };
  const { notifications } = call.message.params ?? {};
  call.sse().notify("notifications/subscriptions/acknowledged", { notifications, _meta });
};

test("a subscription passes under the client's own id, until the client has had enough", async () => {
  const { open, tell, heard, server, until } = await onLines({ "subscriptions/listen": listens });
  open("mine", "subscriptions/listen", { notifications: { toolsListChanged: true } });
  await until(() => heard.length === 1, "the acknowledgement");
  expect(heard[0].params).toEqual({
    notifications: { toolsListChanged: true },
    _meta: { [SUBSCRIPTION]: "mine" },
  });
  tell({ method: "notifications/cancelled", params: { requestId: "mine" } });
  await (await server.arrival("subscriptions/listen")).closed;
});

test("a subscription that passes ends in good order when the gateway stops", async () => {
  const { open, gateway, heard, server, until } = await onLines({ "subscriptions/listen": listens });
  open("mine", "subscriptions/listen", { notifications: { toolsListChanged: true } });
  await until(() => heard.length === 1, "the acknowledgement");
  await gateway.close();
  expect(heard.slice(1)).toMatchObject([
    { id: "mine", result: { resultType: "complete", _meta: { [SUBSCRIPTION]: "mine" } } },
    { method: "notifications/cancelled", params: { requestId: "mine" } },
  ]);
  await (await server.arrival("subscriptions/listen")).closed;
});
