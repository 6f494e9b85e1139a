import { expect, test } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import {
  bridgedCapabilities,
  isDeclared,
  legacyParams,
  requiredCapability,
  withoutEnvelope,
} from "../../src/protocol/legacy.ts";

const ENVELOPE = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "a", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
  "io.modelcontextprotocol/logLevel": "info",
  progressToken: 7,
};

test.for<[params: JsonObject, legacy: JsonObject]>([
  [{ _meta: ENVELOPE }, {}],
  [
    { name: "a", _meta: { ...ENVELOPE, traceparent: "00-1", "com.example/b": [1] } },
    { name: "a", _meta: { traceparent: "00-1", "com.example/b": [1] } },
  ],
  [{ unknown: { _meta: ENVELOPE } }, { unknown: { _meta: ENVELOPE } }],
  [
    JSON.parse('{"arguments":{"__proto__":{"a":1}},"__proto__":2}'),
    JSON.parse('{"arguments":{"__proto__":{"a":1}},"__proto__":2}'),
  ],
])("without its envelope %j is %j", ([params, legacy]) => {
  expect(JSON.stringify(withoutEnvelope(params))).toBe(JSON.stringify(legacy));
  expect(JSON.stringify(legacyParams(params))).toBe(JSON.stringify(legacy));
});

test("what a modern call says to the gateway only, the server does not hear", () => {
  const params = { name: "a", task: { ttl: 1 }, requestState: "s", inputResponses: {}, _meta: ENVELOPE };
  expect(legacyParams(params)).toEqual({ name: "a" });
});

test("in a request that the gateway does not know, nothing is the gateway's but the envelope", () => {
  const params = { task: "clean up", requestState: "s", inputResponses: {}, _meta: ENVELOPE };
  expect(withoutEnvelope(params)).toEqual({ task: "clean up", requestState: "s", inputResponses: {} });
});

test.for<[declared: JsonObject, legacy: JsonObject]>([
  [{}, {}],
  [{ elicitation: {} }, { elicitation: { form: {} } }],
  [{ elicitation: { url: {} } }, { elicitation: { url: {} } }],
  [{ roots: { listChanged: true } }, { roots: {} }],
  [
    { sampling: { tools: {} }, experimental: { x: {} } },
    { sampling: { tools: {} }, experimental: { x: {} } },
  ],
  [{ tasks: { list: {} }, extensions: { "io.modelcontextprotocol/tasks": {} } }, {}],
  [
    { extensions: { "com.example/a": { b: 1 }, "io.modelcontextprotocol/tasks": {} } },
    { extensions: { "com.example/a": { b: 1 } } },
  ],
])("to a legacy server %j is declared as %j", ([declared, legacy]) => {
  expect(bridgedCapabilities(declared)).toEqual(legacy);
});

test("equal declarations are declared in the same words", () => {
  const one = bridgedCapabilities({ sampling: {}, elicitation: { url: {}, form: {} } });
  const other = bridgedCapabilities({ elicitation: { form: {}, url: {} }, sampling: {} });
  expect(JSON.stringify(one)).toBe(JSON.stringify(other));
});

test.for<[method: string, params: JsonObject | undefined, required: unknown]>([
  ["elicitation/create", undefined, { elicitation: { form: {} } }],
  ["elicitation/create", { mode: "form" }, { elicitation: { form: {} } }],
  ["elicitation/create", { mode: "url" }, { elicitation: { url: {} } }],
  ["sampling/createMessage", {}, { sampling: {} }],
  ["sampling/createMessage", { tools: [] }, { sampling: { tools: {} } }],
  ["roots/list", undefined, { roots: {} }],
  ["ping", undefined, undefined],
  ["constructor", undefined, undefined],
])("for %s with %j a client must have declared %j", ([method, params, required]) => {
  expect(requiredCapability(method, params)).toEqual(required);
});

test.for<[declared: unknown, required: unknown, is: boolean]>([
  [{}, {}, true],
  [{ sampling: {} }, { sampling: {} }, true],
  [{ sampling: { tools: {} } }, { sampling: {} }, true],
  [{ sampling: {} }, { sampling: { tools: {} } }, false],
  [{}, { roots: {} }, false],
  [undefined, { roots: {} }, false],
  [{}, { constructor: {} }, false],
])("whether %j contains %j: %j", ([declared, required, is]) => {
  expect(isDeclared(declared, required)).toBe(is);
});
