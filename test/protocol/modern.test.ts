import { describe, expect, test } from "vitest";
import { rpc } from "../../src/protocol/errors.ts";
import type { JsonObject, JsonText } from "../../src/protocol/jsonrpc.ts";
import {
  declaresTasks,
  errorMessage,
  isLogged,
  type LogLevel,
  modernResult,
  readEnvelope,
  resultMessage,
  withCacheHints,
} from "../../src/protocol/modern.ts";
import * as fc from "../support/properties.ts";

const VERSION = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
const CLIENT = "io.modelcontextprotocol/clientInfo";
const LOG_LEVEL = "io.modelcontextprotocol/logLevel";
const SERVER = "io.modelcontextprotocol/serverInfo";
const TASKS = "io.modelcontextprotocol/tasks";
const REQUIRED = { [VERSION]: "2026-07-28", [CAPABILITIES]: {} };

describe("readEnvelope", () => {
  test.for<[meta: JsonObject, envelope: JsonObject]>([
    [REQUIRED, { protocolVersion: "2026-07-28", capabilities: {} }],
    [
      { ...REQUIRED, [CLIENT]: { name: "a", version: "1" }, "com.example/unknown": 1 },
      { protocolVersion: "2026-07-28", capabilities: {}, client: { name: "a", version: "1" } },
    ],
    [
      { ...REQUIRED, [CLIENT]: { name: "a", version: "1".repeat(201) } },
      { protocolVersion: "2026-07-28", capabilities: {} },
    ],
    [
      { ...REQUIRED, [CAPABILITIES]: { sampling: { tools: {} }, "com.example/unknown": true } },
      {
        protocolVersion: "2026-07-28",
        capabilities: { sampling: { tools: {} }, "com.example/unknown": true },
      },
    ],
    [
      { ...REQUIRED, progressToken: 0 },
      { protocolVersion: "2026-07-28", capabilities: {}, progressToken: 0 },
    ],
    [
      { ...REQUIRED, progressToken: "" },
      { protocolVersion: "2026-07-28", capabilities: {}, progressToken: "" },
    ],
    [
      { ...REQUIRED, [LOG_LEVEL]: "warning" },
      { protocolVersion: "2026-07-28", capabilities: {}, logLevel: "warning" },
    ],
    // Which versions there are is decided elsewhere.
    [
      { ...REQUIRED, [VERSION]: "1999-01-01" },
      { protocolVersion: "1999-01-01", capabilities: {} },
    ],
  ])("reads %j", ([_meta, envelope]) => {
    expect(readEnvelope({ _meta })).toEqual(envelope);
  });

  test.for<[params: JsonObject | undefined, names: string]>([
    [undefined, "params._meta"],
    [{}, "params._meta"],
    [{ _meta: null }, "params._meta"],
    [{ _meta: [] }, "params._meta"],
    [{ _meta: "x" }, "params._meta"],
    [{ _meta: {} }, VERSION],
    [{ _meta: { [CAPABILITIES]: {} } }, VERSION],
    [{ _meta: { ...REQUIRED, [VERSION]: 20260728 } }, VERSION],
    [{ _meta: { ...REQUIRED, [VERSION]: null } }, VERSION],
    [{ _meta: { [VERSION]: "2026-07-28" } }, CAPABILITIES],
    [{ _meta: { ...REQUIRED, [CAPABILITIES]: [] } }, CAPABILITIES],
    [{ _meta: { ...REQUIRED, [CAPABILITIES]: null } }, CAPABILITIES],
    [{ _meta: { ...REQUIRED, [CAPABILITIES]: "all" } }, CAPABILITIES],
    [{ _meta: { ...REQUIRED, [CAPABILITIES]: { elicitation: true } } }, "elicitation"],
    [{ _meta: { ...REQUIRED, [CAPABILITIES]: { sampling: null } } }, "sampling"],
    [{ _meta: { ...REQUIRED, [CAPABILITIES]: { roots: [] } } }, "roots"],
    [{ _meta: { ...REQUIRED, [CAPABILITIES]: { extensions: [TASKS] } } }, "extensions"],
    [{ _meta: { ...REQUIRED, [CLIENT]: "a client" } }, CLIENT],
    [{ _meta: { ...REQUIRED, progressToken: 1.5 } }, "progressToken"],
    [{ _meta: { ...REQUIRED, progressToken: null } }, "progressToken"],
    [{ _meta: { ...REQUIRED, [LOG_LEVEL]: "loud" } }, LOG_LEVEL],
    [{ _meta: { ...REQUIRED, [LOG_LEVEL]: 3 } }, LOG_LEVEL],
  ])("refuses %j", ([params, names]) => {
    expect(() => readEnvelope(params)).toThrow(
      expect.objectContaining({ code: -32602, httpStatus: 400, message: expect.stringContaining(names) }),
    );
  });

  test("reads an envelope whatever else is in _meta", () =>
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (others) => {
        fc.pre(!Object.hasOwn(others, "progressToken"));
        const envelope = readEnvelope({ _meta: { ...others, ...REQUIRED } });
        expect(envelope).toEqual({ protocolVersion: "2026-07-28", capabilities: {} });
      }),
    ));

  test("answers any _meta at all with an envelope or a -32602", () =>
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (version, capabilities, level) => {
        const _meta = { [VERSION]: version, [CAPABILITIES]: capabilities, [LOG_LEVEL]: level };
        expect([200, 400]).toContain(outcomeOf(() => readEnvelope({ _meta })));
      }),
    ));
});

test.for<[unknown, boolean]>([
  [{ extensions: { [TASKS]: {} } }, true],
  [{ extensions: { [TASKS]: { unknown: 1 } } }, true],
  [{ extensions: {} }, false],
  [{}, false],
  [{ extensions: { [TASKS]: true } }, false],
  [{ extensions: { [TASKS]: null } }, false],
  [{ extensions: { [`${TASKS}2`]: {} } }, false],
  // The tasks of 2025-11-25 are another thing.
  [{ tasks: { requests: { tools: { call: {} } } } }, false],
])("whether %j declares tasks: %j", ([capabilities, is]) => {
  expect(declaresTasks(capabilities as JsonObject)).toBe(is);
});

test.for<[level: unknown, wanted: LogLevel | undefined, is: boolean]>([
  ["error", undefined, false],
  ["debug", "info", false],
  ["info", "info", true],
  ["emergency", "info", true],
  ["debug", "debug", true],
  ["a level of its own", "emergency", true],
  [undefined, "info", true],
])("a message at %j for a client that wants %j is told: %j", ([level, wanted, is]) => {
  expect(isLogged(level, wanted)).toBe(is);
});

describe("modernResult", () => {
  const identity = { name: "s", version: "1" };

  test("says what kind of result it is and who answers, and keeps the rest", () => {
    expect(modernResult({ tools: [], nextCursor: "2", unknown: { a: 1 } }, identity)).toEqual({
      resultType: "complete",
      tools: [],
      nextCursor: "2",
      unknown: { a: 1 },
      _meta: { [SERVER]: identity },
    });
  });

  test("keeps the server's _meta but for the tasks of 2025-11-25", () => {
    const _meta = { "com.example/a": 1, "io.modelcontextprotocol/related-task": { taskId: "t" } };
    expect(modernResult({ _meta }, identity)._meta).toEqual({ "com.example/a": 1, [SERVER]: identity });
  });

  test.for([null, [], "x", 7])("is not put out by a _meta of %j", (_meta) => {
    expect(modernResult({ _meta }, identity)._meta).toEqual({ [SERVER]: identity });
  });

  test("does not overwrite another kind of result", () => {
    expect(modernResult({ resultType: "input_required" }, identity).resultType).toBe("input_required");
  });
});

test.for<[given: JsonObject, hints: JsonObject]>([
  [{}, { ttlMs: 0, cacheScope: "private" }],
  [{ ttlMs: 5_000 }, { ttlMs: 5_000, cacheScope: "private" }],
  [{ ttlMs: 0 }, { ttlMs: 0, cacheScope: "private" }],
  [{ ttlMs: -1 }, { ttlMs: 0, cacheScope: "private" }],
  [{ ttlMs: 1.5 }, { ttlMs: 0, cacheScope: "private" }],
  [{ ttlMs: "1h" }, { ttlMs: 0, cacheScope: "private" }],
  [{ cacheScope: "public" }, { ttlMs: 0, cacheScope: "private" }],
])("the cache hints for %j are %j", ([given, hints]) => {
  expect(withCacheHints(given)).toEqual(hints);
});

test.for(["", "x", 0, -7, 'a "quoted" id', "\u2028"])("a message carries the id %j as it came", (id) => {
  expect(JSON.parse(resultMessage(id, '{"a":1}' as JsonText))).toEqual({
    jsonrpc: "2.0",
    id,
    result: { a: 1 },
  });
  expect(JSON.parse(errorMessage(id, rpc.unknownTask()))).toEqual({
    jsonrpc: "2.0",
    id,
    error: { code: -32602, message: "Failed to retrieve task: no such task" },
  });
});

function outcomeOf(act: () => unknown): unknown {
  try {
    act();
    return 200;
  } catch (error) {
    return (error as { httpStatus?: unknown }).httpStatus;
  }
}
