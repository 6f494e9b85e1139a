/** What holds for every message that anybody could send, and for every header that goes with it. */

import { describe, expect, test } from "vitest";
import { RpcError, toModernError } from "../../src/protocol/errors.ts";
import {
  checkParamHeaders,
  checkRoutingHeaders,
  decodeHeaderValue,
  encodeHeaderValue,
  headerParams,
  paramHeaders,
  routingHeaders,
} from "../../src/protocol/headers.ts";
import { claimsModern, idOf, readMessage } from "../../src/protocol/inbound.ts";
import { mayBeDeeperThan } from "../../src/protocol/json-limits.ts";
import {
  isObject,
  isRequestId,
  type JsonObject,
  toJson,
  withFirstMembers,
} from "../../src/protocol/jsonrpc.ts";
import { bridgedCapabilities, isDeclared, legacyParams, withoutEnvelope } from "../../src/protocol/legacy.ts";
import { META, modernResult, readEnvelope } from "../../src/protocol/modern.ts";
import * as fc from "../support/properties.ts";

const NAMES = [
  "jsonrpc",
  "id",
  "method",
  "params",
  "result",
  "error",
  "_meta",
  "name",
  "uri",
  "taskId",
  "code",
  "message",
  "progressToken",
  "properties",
  "x-mcp-header",
  "type",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  ...Object.values(META),
];
const VALUES = ["2.0", "tools/call", "tasks/get", "2026-07-28", "string", "integer", "Region", ""];

const { value } = fc.letrec<{ value: unknown; object: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>(null, true, 0, -1, 1.5, 1e308, 7, ...VALUES),
    fc.string(),
    fc.array(tie("value"), { maxLength: 3 }),
    tie("object"),
    tie("object"),
  ),
  object: fc
    .array(fc.tuple(fc.oneof(fc.constantFrom(...NAMES), fc.string()), tie("value")), { maxLength: 6 })
    // As JSON.parse makes them: a key of any name is the object's own.
    .map((entries) => Object.fromEntries(entries)),
}));
/** Most of the time something like a message. */
const message = fc
  .tuple(value, fc.subarray(["jsonrpc", "method", "params"]))
  .map(([any, kept]): unknown =>
    isObject(any)
      ? { ...any, ...Object.fromEntries(kept.map((name) => [name, RIGHT[name as keyof typeof RIGHT]])) }
      : any,
  );
const RIGHT = { jsonrpc: "2.0", method: "tools/call", params: {} };
const object = value.filter(isObject);

/** What it throws, if anything. */
function thrown(act: () => unknown): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Refused by name with a code, or not at all. */
function expectRefusal(act: () => unknown): void {
  const error = thrown(act);
  expect(error === undefined || error instanceof RpcError, String(error)).toBe(true);
}

describe("any message", () => {
  test("is read, or refused by name; and its id is one or none", () =>
    fc.assert(
      fc.property(message, (any) => {
        expectRefusal(() => readMessage(any));
        const id = idOf(any);
        expect(id === null || isRequestId(id)).toBe(true);
        expect(typeof claimsModern(any)).toBe("boolean");
        const params = isObject(any) && isObject(any.params) ? any.params : undefined;
        expectRefusal(() => readEnvelope(params));
        expectRefusal(() => checkRoutingHeaders({}, "tools/call", params));
      }),
      { numRuns: 1_000 },
    ));

  test("that is read is what was sent", () =>
    fc.assert(
      fc.property(fc.string(), object, fc.oneof(fc.string(), fc.maxSafeInteger()), (method, params, id) => {
        expect(readMessage({ jsonrpc: "2.0", method, params, id })).toEqual({ method, params, id });
        expect(readMessage({ jsonrpc: "2.0", method, params })).toEqual({ method, params });
      }),
    ));

  test("pollutes nothing", () =>
    fc.assert(
      fc.property(object, (params) => {
        legacyParams(params);
        bridgedCapabilities(params);
        modernResult(params, undefined);
        expect(Reflect.ownKeys({ ...Object.prototype })).toEqual([]);
        expect(Object.getPrototypeOf(legacyParams(params))).toBe(Object.prototype);
        expect(Object.getPrototypeOf(bridgedCapabilities(params))).toBe(Object.prototype);
      }),
    ));

  test("goes on to a legacy server with all that is not the envelope's", () =>
    fc.assert(
      fc.property(object, (params) => {
        const { _meta: _before, ...sent } = withoutEnvelope(params);
        const { _meta: _after, ...given } = params;
        expect(toJson(sent)).toBe(toJson(given));
        expect(toJson(withoutEnvelope(withoutEnvelope(params)))).toBe(toJson(withoutEnvelope(params)));
      }),
    ));
});

test("capabilities are the same in whatever order they are declared, and are declared themselves", () =>
  fc.assert(
    fc.property(object, (declared) => {
      const turned = Object.fromEntries(Object.entries(declared).reverse());
      expect(toJson(bridgedCapabilities(turned))).toBe(toJson(bridgedCapabilities(declared)));
      const legacy = bridgedCapabilities(declared);
      expect(isDeclared(legacy, legacy)).toBe(true);
      expect(isDeclared({}, { toString: {} })).toBe(false);
    }),
  ));

test("an error for a modern client has no code that means something else there, and keeps what it said", () =>
  fc.assert(
    fc.property(fc.integer({ min: -33_000, max: 100 }), fc.string(), value, (code, text, data) => {
      const error = toModernError({ code, message: text, data });
      expect(error.code < -32_099 || error.code > -32_020 || error.code === -32_603).toBe(true);
      expect(error.message).toBe(text);
      expect([data, { upstream: { code, message: text, data } }]).toContainEqual(error.data);
    }),
  ));

test("members are put before those that there are", () =>
  fc.assert(
    fc.property(object, fc.string(), (any, text) => {
      const { first: _, ...rest } = any;
      const put = withFirstMembers(toJson(rest), [`"first":${JSON.stringify(text)}`]);
      expect(JSON.parse(put)).toEqual(JSON.parse(toJson({ first: text, ...rest })));
    }),
  ));

describe("header values", () => {
  test("are plain whatever they say, and say it again", () =>
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: "grapheme" }), fc.constantFrom(...SENTINELS)),
        (text) => {
          const encoded = encodeHeaderValue(text);
          expect(encoded).toMatch(/^[\t\x20-\x7e]*$/);
          expect(encoded).toBe(encoded.trim());
          expect(decodeHeaderValue(encoded)).toBe(text);
        },
      ),
      { numRuns: 500 },
    ));

  test("that are anything decode to a text or to nothing, and to no second value", () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String().map((text) => `=?base64?${text}?=`),
        ),
        (text) => {
          const decoded = decodeHeaderValue(text);
          const again = decoded === undefined ? undefined : decodeHeaderValue(encodeHeaderValue(decoded));
          expect(again).toBe(decoded);
        },
      ),
      { numRuns: 500 },
    ));

  test("that mirror a request are right for it", () =>
    fc.assert(
      fc.property(
        fc.constantFrom("tools/call", "resources/read", "tasks/get", "x/y"),
        object,
        (method, params) => {
          const headers = { ...routingHeaders(method, params) };
          expect(thrown(() => checkRoutingHeaders(headers, method, params))).toBeUndefined();
        },
      ),
    ));

  test("that mirror arguments are right for them, and for no others", () =>
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.stringMatching(/^[a-z]{1,5}$/),
          fc.oneof(fc.string(), fc.maxSafeInteger(), fc.boolean()),
        ),
        fc.string(),
        (args, other) => {
          const properties = Object.fromEntries(
            Object.entries(args).map(([name, each]) => [
              name,
              { type: typeof each === "number" ? "integer" : typeof each, "x-mcp-header": name },
            ]),
          );
          const params = headerParams({ type: "object", properties }) ?? [];
          expect(params).toHaveLength(Object.keys(args).length);
          const headers = paramHeaders(params, args);
          expect(thrown(() => checkParamHeaders(headers, params, args))).toBeUndefined();
          const [first] = params;
          const changed = { ...args, [first?.path[0] ?? "none"]: `${other}!` };
          const refused = first !== undefined && args[first.path[0] ?? ""] !== `${other}!`;
          expect(thrown(() => checkParamHeaders(headers, params, changed)) instanceof RpcError).toBe(refused);
        },
      ),
    ));

  test("are looked for in any schema at all", () =>
    fc.assert(
      fc.property(value, value, (schema, args) => {
        const params = headerParams(schema);
        expect(params === undefined || Array.isArray(params)).toBe(true);
        expectRefusal(() => checkParamHeaders(paramHeaders(params ?? [], args), params ?? [], args));
      }),
      { numRuns: 500 },
    ));
});

const SENTINELS = ["=?base64??=", "=?base64?QQ==?=", " x", "x\t", "\u00e9", "\r\nX: y", "\0"];

describe("how deep a text is nested", () => {
  const json = fc.tuple(value, fc.constantFrom(undefined, 1, "\t")).map(([any, space]) => ({
    text: JSON.stringify({ any, brackets: '[[[{"\\', "\\": "]" }, null, space),
    depth: depthOf({ any }),
  }));

  test("is what it is when it is read", () =>
    fc.assert(
      fc.property(json, ({ text, depth }) => {
        expect(mayBeDeeperThan(Buffer.from(text), depth)).toBe(false);
        expect(mayBeDeeperThan(Buffer.from(text), depth - 1)).toBe(true);
      }),
      { numRuns: 500 },
    ));

  test("is never more than what is let pass can be read and written with", () =>
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("[", "]", "{", "}", '"', "\\", ",", ":", "1", '"a":'), { maxLength: 60 }),
        (parts) => {
          const text = parts.join("");
          const parsed = thrown(() => JSON.parse(text)) === undefined ? JSON.parse(text) : undefined;
          expect(depthOf(parsed) <= 3 || mayBeDeeperThan(Buffer.from(text), 3)).toBe(true);
        },
      ),
      { numRuns: 1_000 },
    ));
});

/** By recursion, which is what the real one does without. */
function depthOf(any: unknown): number {
  if (typeof any !== "object" || any === null) return 0;
  return 1 + Math.max(0, ...Object.values(any as JsonObject).map(depthOf));
}
