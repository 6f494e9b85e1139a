import { expect, test } from "vitest";
import type { JsonObject, JsonRpcResponse } from "../../src/protocol/jsonrpc.ts";
import { ToolCatalogue } from "../../src/upstream/catalogue.ts";

const LISTED: JsonObject[] = [
  { name: "read", annotations: { readOnlyHint: true } },
  { name: "put", annotations: { readOnlyHint: false, idempotentHint: true } },
  { name: "send", annotations: { readOnlyHint: false, idempotentHint: false, destructiveHint: false } },
  { name: "nearly", annotations: { readOnlyHint: "true", idempotentHint: 1 } },
  { name: "odd", annotations: "readOnlyHint" },
  { name: "null", annotations: null },
  { name: "plain", readOnlyHint: true },
];

test.each([
  ["read", true],
  ["put", true],
  ["send", false],
  ["nearly", false],
  ["odd", false],
  ["null", false],
  ["plain", false],
  ["unknown", false],
])("a call of %s may be made twice: %s", async (tool, expected) => {
  const { catalogue } = listing(async () => answer({ tools: LISTED }));
  expect(await catalogue.isRepeatable(tool)).toBe(expected);
});

test.each<[string, () => Promise<JsonRpcResponse>]>([
  ["refuses to list", () => Promise.resolve(refusal())],
  ["is gone", () => Promise.reject(new Error("gone"))],
  ["lists nothing that is a list", () => Promise.resolve(answer({ tools: "read" }))],
  ["never answers", () => new Promise(() => {})],
])("no call may be made twice at a server that %s", async (_, list) => {
  const { catalogue } = listing(list);
  expect(await catalogue.isRepeatable("read")).toBe(false);
});

test("what is known of a tool is asked for once, whatever is wanted of it", async () => {
  const inputSchema = {
    type: "object",
    properties: { region: { type: "string", "x-mcp-header": "Region" } },
  };
  const { catalogue, asked } = listing(async () => answer({ tools: [{ ...LISTED[0], inputSchema }] }));

  expect(await catalogue.isRepeatable("read")).toBe(true);
  expect(await catalogue.headerParams("read")).toMatchObject([{ header: "Region" }]);
  expect(await catalogue.isRepeatable("read")).toBe(true);

  expect(asked).toEqual(["tools/list"]);
});

test("a tool of a later page is found, and one that has changed once the server says so", async () => {
  const pages: Record<string, JsonObject> = {
    first: { tools: [LISTED[2]], nextCursor: "second" },
    second: { tools: [{ name: "late", annotations: { idempotentHint: true } }] },
  };
  const { catalogue } = listing(async (params) => answer(pages[String(params.cursor ?? "first")] ?? {}));
  expect(await catalogue.isRepeatable("late")).toBe(true);

  pages.second = { tools: [{ name: "late" }] };
  expect(await catalogue.isRepeatable("late")).toBe(true);
  catalogue.invalidate();
  expect(await catalogue.isRepeatable("late")).toBe(false);
});

function listing(list: (params: JsonObject) => Promise<JsonRpcResponse>) {
  const asked: string[] = [];
  const catalogue = new ToolCatalogue((method, params) => {
    asked.push(method);
    return list(params);
  });
  return { catalogue, asked };
}

function answer(result: JsonObject): JsonRpcResponse {
  return { jsonrpc: "2.0", id: 1, result };
}

function refusal(): JsonRpcResponse {
  return { jsonrpc: "2.0", id: 1, error: { code: -32601, message: "Method not found" } };
}
