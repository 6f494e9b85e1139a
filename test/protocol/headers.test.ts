import { describe, expect, test } from "vitest";
import {
  checkParamHeaders,
  checkRoutingHeaders,
  checkVersionHeader,
  decodeHeaderValue,
  encodeHeaderValue,
  givenParamHeaders,
  type Headers,
  headerParams,
  paramHeaders,
  routingHeaders,
} from "../../src/protocol/headers.ts";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import * as fc from "../support/properties.ts";

const MISMATCH = { code: -32020, httpStatus: 400 };

describe("encodeHeaderValue", () => {
  test.for<[string, string]>([
    ["us-west1", "us-west1"],
    ["", ""],
    ["a b\tc", "a b\tc"],
    ["Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="],
    [" padded ", "=?base64?IHBhZGRlZCA=?="],
    ["\ttab", "=?base64?CXRhYg==?="],
    ["line1\nline2", "=?base64?bGluZTEKbGluZTI=?="],
    ["=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="],
    ["=?base64?open", "=?base64?open"],
  ])("writes %j as %j", ([value, header]) => {
    expect(encodeHeaderValue(value)).toBe(header);
  });

  test("writes what can be read again, and what can be sent", () =>
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (value) => {
        const header = encodeHeaderValue(value);
        expect(decodeHeaderValue(header)).toBe(value);
        expect(header).toMatch(/^(?:[!-~](?:[\t -~]*[!-~])?)?$/);
      }),
    ));
});

test.for<[string, JsonObject | undefined, JsonObject]>([
  ["tools/list", undefined, { "mcp-method": "tools/list" }],
  ["tools/call", { name: "grün" }, { "mcp-method": "tools/call", "mcp-name": "=?base64?Z3LDvG4=?=" }],
  ["resources/read", { uri: "a:b" }, { "mcp-method": "resources/read", "mcp-name": "a:b" }],
  ["tasks/get", { taskId: "t" }, { "mcp-method": "tasks/get", "mcp-name": "t" }],
  ["prompts/get", { name: 1 }, { "mcp-method": "prompts/get" }],
])("%s is mirrored", ([method, params, headers]) => {
  expect(routingHeaders(method, params)).toEqual(headers);
  checkRoutingHeaders(headers as Headers, method, params);
});

test("arguments are mirrored as they are checked", () => {
  const params = ["a", "b", "c", "d", "e"].map((name) => ({ header: `X-${name}`, path: ["in", name] }));
  const args = { in: { a: "é", b: -7, c: true, d: null } };
  const headers = paramHeaders(params, args);
  expect(headers).toEqual({
    "mcp-param-x-a": "=?base64?w6k=?=",
    "mcp-param-x-b": "-7",
    "mcp-param-x-c": "true",
  });
  checkParamHeaders(headers, params, args);
});

test("of a client's headers those that mirror arguments are handed on", () => {
  expect(
    givenParamHeaders({ host: "h", "mcp-name": "n", "mcp-param-a": " x ", "mcp-param-b": ["1", "2"] }),
  ).toEqual({
    "mcp-param-a": "x",
    "mcp-param-b": "1, 2",
  });
});

describe("decodeHeaderValue", () => {
  test.for<[string, string]>([
    ["us-west1", "us-west1"],
    ["", ""],
    ["a\tb c", "a\tb c"],
    ["=?base64?SGVsbG8sIOS4lueVjA==?=", "Hello, 世界"],
    ["=?base64?IHBhZGRlZCA=?=", " padded "],
    ["=?base64?bGluZTEKbGluZTI=?=", "line1\nline2"],
    ["=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?literal?="],
    ["=?base64??=", ""],
    ["=?base64?77u/YQ==?=", "\ufeffa"],
    // Only the exact markers are markers.
    ["=?BASE64?YQ==?=", "=?BASE64?YQ==?="],
    ["=?base64?YQ==", "=?base64?YQ=="],
    ["x=?base64?YQ==?=", "x=?base64?YQ==?="],
    ["=?base64?=", "=?base64?="],
  ])("reads %j as %j", ([header, value]) => {
    expect(decodeHeaderValue(header)).toBe(value);
  });

  test.for<[string, string]>([
    ["no padding", "=?base64?YQ?="],
    ["bits after the last byte", "=?base64?YR==?="],
    ["padding in the middle", "=?base64?YQ==YQ==?="],
    ["the alphabet of base64url", "=?base64?_-8=?="],
    ["white space", "=?base64?YQ = =?="],
    ["a line break", "=?base64?YWFh\nYWFh?="],
    ["bytes that are no UTF-8", "=?base64?/w==?="],
    ["half a surrogate pair", "=?base64?7aCA?="],
    ["a character outside of ASCII", "gr\u00fcn"],
    ["a control character", "a\u0007b"],
    ["DEL", "a\u007fb"],
  ])("refuses %s", ([, header]) => {
    expect(decodeHeaderValue(header)).toBeUndefined();
  });

  test("gives back whatever a client encoded", () =>
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (value) => {
        expect(decodeHeaderValue(encoded(value))).toBe(value);
      }),
    ));

  test("reads one encoding of a value only", () =>
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9+/]{1,8}={0,2}$/), (payload) => {
        const decoded = decodeHeaderValue(`=?base64?${payload}?=`);
        const isRead = decoded !== undefined;
        expect(isRead && Buffer.from(decoded).toString("base64") !== payload).toBe(false);
      }),
    ));

  test("gives back plain values as they are", () =>
    fc.assert(
      fc.property(fc.stringMatching(/^[\t\x20-\x7e]{0,40}$/), (value) => {
        fc.pre(!value.startsWith("=?base64?"));
        expect(decodeHeaderValue(value)).toBe(value);
      }),
    ));
});

describe("checkVersionHeader", () => {
  test.for<Headers>([
    { "mcp-protocol-version": "2026-07-28" },
    { "mcp-protocol-version": " \t2026-07-28\t " },
    { "mcp-protocol-version": ["2026-07-28"] },
  ])("takes %j", (headers) => {
    expect(checkVersionHeader(headers, "2026-07-28")).toBeUndefined();
  });

  test.for<[Headers, RegExp]>([
    [{}, /MCP-Protocol-Version is missing, expected "2026-07-28"/],
    [{ "mcp-protocol-version": "" }, /is "", but the body says "2026-07-28"/],
    [{ "mcp-protocol-version": "2025-11-25" }, /is "2025-11-25"/],
    [{ "mcp-protocol-version": ["2026-07-28", "2026-07-28"] }, /2026-07-28, 2026-07-28/],
    [{ "mcp-protocol-version": "2026-07-28\u00a0" }, /is "2026-07-28/],
  ])("refuses %j", ([headers, message]) => {
    expect(failure(() => checkVersionHeader(headers, "2026-07-28"))).toMatchObject({
      ...MISMATCH,
      message: expect.stringMatching(message),
    });
  });
});

describe("checkRoutingHeaders", () => {
  test.for<[method: string, headers: Headers, params: JsonObject | undefined]>([
    ["tools/list", { "mcp-method": "tools/list" }, undefined],
    ["tools/list", { "mcp-method": " tools/list ", "mcp-name": "nobody asked" }, { name: "x" }],
    ["tools/call", { "mcp-method": "tools/call", "mcp-name": "sum" }, { name: "sum" }],
    ["tools/call", { "mcp-method": "tools/call", "mcp-name": " sum\t" }, { name: "sum" }],
    ["tools/call", { "mcp-method": "tools/call", "mcp-name": "=?base64?c3Vt?=" }, { name: "sum" }],
    ["tools/call", { "mcp-method": "tools/call", "mcp-name": "=?base64?4oKs?=" }, { name: "€" }],
    ["prompts/get", { "mcp-method": "prompts/get", "mcp-name": "p" }, { name: "p" }],
    ["resources/read", { "mcp-method": "resources/read", "mcp-name": "a:b" }, { uri: "a:b", name: "c" }],
    ["tasks/get", { "mcp-method": "tasks/get", "mcp-name": "t1" }, { taskId: "t1" }],
    ["tasks/update", { "mcp-method": "tasks/update", "mcp-name": "t1" }, { taskId: "t1" }],
    ["tasks/cancel", { "mcp-method": "tasks/cancel", "mcp-name": "t1" }, { taskId: "t1" }],
    // A body without a name is wrong in its params, which is somebody else's to say.
    ["tools/call", { "mcp-method": "tools/call" }, {}],
    ["tasks/get", { "mcp-method": "tasks/get" }, { taskId: 7 }],
    ["constructor", { "mcp-method": "constructor" }, { name: "x" }],
  ])("takes %s with %j for %j", ([method, headers, params]) => {
    expect(checkRoutingHeaders(headers, method, params)).toBeUndefined();
  });

  test.for<[method: string, headers: Headers, params: JsonObject | undefined, message: RegExp]>([
    ["tools/list", {}, undefined, /Mcp-Method is missing/],
    ["tools/list", { "mcp-method": "Tools/list" }, undefined, /Mcp-Method is "Tools\/list"/],
    ["tools/list", { "mcp-method": "=?base64?dG9vbHMvbGlzdA==?=" }, undefined, /Mcp-Method is/],
    ["tools/call", { "mcp-method": "tools/call" }, { name: "sum" }, /Mcp-Name is missing, expected "sum"/],
    ["tools/call", { "mcp-method": "tools/call", "mcp-name": "" }, { name: "sum" }, /Mcp-Name is ""/],
    ["tools/call", { "mcp-method": "tools/call", "mcp-name": "SUM" }, { name: "sum" }, /Mcp-Name is "SUM"/],
    ["tools/call", { "mcp-method": "tools/call", "mcp-name": ["sum", "sum"] }, { name: "sum" }, /"sum, sum"/],
    [
      "tools/call",
      { "mcp-method": "tools/call", "mcp-name": " sum " },
      { name: " sum " },
      /Mcp-Name is "sum"/,
    ],
    [
      "tools/call",
      { "mcp-method": "tools/call", "mcp-name": "=?base64?c3Vt" },
      { name: "sum" },
      /Mcp-Name is/,
    ],
    [
      "tools/call",
      { "mcp-method": "tools/call", "mcp-name": "=?base64?c3V?=" },
      { name: "sum" },
      /not a valid/,
    ],
    [
      "resources/read",
      { "mcp-method": "resources/read", "mcp-name": "c" },
      { uri: "a:b", name: "c" },
      /"a:b"/,
    ],
    ["tasks/get", { "mcp-method": "tasks/get", "mcp-name": "t2" }, { taskId: "t1" }, /Mcp-Name is "t2"/],
  ])("refuses %s with %j for %j", ([method, headers, params, message]) => {
    expect(failure(() => checkRoutingHeaders(headers, method, params))).toMatchObject({
      ...MISMATCH,
      message: expect.stringMatching(message),
    });
  });

  test("an error quotes no more than 200 characters of what it was sent", () => {
    const error = failure(() => checkRoutingHeaders({ "mcp-method": "m".repeat(10_000) }, "tools/list", {}));
    expect(error.message.length).toBeLessThan(300);
  });
});

describe("headerParams", () => {
  const annotated = (type: unknown, header: unknown = "Region") => ({ type, "x-mcp-header": header });

  test.for<[what: string, schema: unknown, found: unknown]>([
    ["a schema without annotations", { type: "object", properties: { a: { type: "string" } } }, []],
    ["no schema", undefined, []],
    ["a schema that is none", "string", []],
    ["properties that are none", { properties: ["a"] }, []],
    ["a string", { properties: { region: annotated("string") } }, [{ header: "Region", path: ["region"] }]],
    ["an integer", { properties: { n: annotated("integer", "N") } }, [{ header: "N", path: ["n"] }]],
    ["a boolean", { properties: { dry: annotated("boolean", "Dry") } }, [{ header: "Dry", path: ["dry"] }]],
    [
      "nested properties",
      { properties: { where: { type: "object", properties: { region: annotated("string") } } } },
      [{ header: "Region", path: ["where", "region"] }],
    ],
    [
      "a property that is called properties",
      { properties: { properties: { type: "object", properties: { a: annotated("string") } } } },
      [{ header: "Region", path: ["properties", "a"] }],
    ],
    [
      "a property that is called like the annotation",
      { properties: { "x-mcp-header": { type: "string" } } },
      [],
    ],
    ["an annotation that is only data", { properties: { a: { default: { "x-mcp-header": "A" } } } }, []],
    [
      "a definition that is called like the annotation",
      { $defs: { "x-mcp-header": { type: "string" } } },
      [],
    ],
  ])("finds the annotations of %s", ([, schema, found]) => {
    expect(headerParams(schema)).toEqual(found);
  });

  test.for<[what: string, schema: unknown]>([
    ["a number", { properties: { n: annotated("number") } }],
    ["an object", { properties: { o: annotated("object") } }],
    ["a property without a type", { properties: { o: { "x-mcp-header": "O" } } }],
    ["an empty name", { properties: { a: annotated("string", "") } }],
    ["a name with a space", { properties: { a: annotated("string", "a b") } }],
    ["a name with a line break", { properties: { a: annotated("string", "a\r\nX: y") } }],
    ["a name that is no string", { properties: { a: annotated("string", 7) } }],
    [
      "two names that differ in case only",
      { properties: { a: annotated("string"), b: annotated("string", "REGION") } },
    ],
    ["the schema itself", { "x-mcp-header": "A", type: "string" }],
    ["the items of an array", { properties: { a: { type: "array", items: annotated("string") } } }],
    ["an alternative", { oneOf: [{ properties: { a: annotated("string") } }] }],
    ["a condition", { if: { properties: { a: annotated("string") } } }],
    ["a definition", { properties: { a: { $ref: "#/$defs/a" } }, $defs: { a: annotated("string") } }],
    ["additional properties", { additionalProperties: annotated("string") }],
    [
      "one of several, of which the others are right",
      { properties: { good: annotated("string", "Good"), bad: annotated("number", "Bad") } },
    ],
  ])("relies on no annotation when one is on %s", ([, schema]) => {
    expect(headerParams(schema)).toBeUndefined();
  });
});

describe("checkParamHeaders", () => {
  const params = [
    { header: "Region", path: ["region"] },
    { header: "Zone", path: ["where", "zone"] },
  ];
  const both = { region: "eu", where: { zone: 1 } };

  test.for<[headers: Headers, args: unknown]>([
    [{}, {}],
    [{}, undefined],
    [{}, { region: null, where: { zone: null } }],
    [{}, { where: "no object" }],
    [{}, Object.create({ region: "inherited" })],
    [{ "mcp-param-region": "eu", "mcp-param-zone": "1" }, both],
    [{ "mcp-param-region": " eu ", "mcp-param-zone": "1.0" }, both],
    [{ "mcp-param-region": "=?base64?ZXU=?=", "mcp-param-zone": "=?base64?MQ==?=" }, both],
    [{ "mcp-param-region": "true" }, { region: true }],
    [{ "mcp-param-zone": "-7" }, { where: { zone: -7 } }],
    [{ "mcp-param-zone": "0" }, { where: { zone: 0 } }],
    [{ "mcp-param-region": "" }, { region: "" }],
    [{ "mcp-param-unknown": "is nobody's" }, {}],
  ])("takes %j for %j", ([headers, args]) => {
    expect(checkParamHeaders(headers, params, args)).toBeUndefined();
  });

  test.for<[headers: Headers, args: unknown, message: RegExp]>([
    [{}, { region: "eu" }, /Mcp-Param-Region is missing, expected "eu"/],
    [{}, { region: "" }, /Mcp-Param-Region is missing/],
    [{}, { where: { zone: 0 } }, /Mcp-Param-Zone is missing, expected "0"/],
    [{}, { region: false }, /Mcp-Param-Region is missing, expected "false"/],
    [{ "mcp-param-region": "us" }, { region: "eu" }, /Mcp-Param-Region is "us", but the body says "eu"/],
    [{ "mcp-param-region": "True" }, { region: true }, /Mcp-Param-Region/],
    [{ "mcp-param-region": "eu" }, {}, /Mcp-Param-Region is set, but the arguments have no such value/],
    [{ "mcp-param-region": "eu" }, { region: null }, /is set/],
    [{ "mcp-param-region": "=?base64?ZXU?=" }, { region: "eu" }, /not a valid header value/],
    [{ "mcp-param-region": "gr\u00fcn" }, { region: "gr\u00fcn" }, /not a valid header value/],
    [{ "mcp-param-zone": "2" }, { where: { zone: 1 } }, /Mcp-Param-Zone/],
    [{ "mcp-param-zone": "" }, { where: { zone: 0 } }, /Mcp-Param-Zone/],
    [{ "mcp-param-zone": "0x1" }, { where: { zone: 1 } }, /Mcp-Param-Zone/],
    [{ "mcp-param-zone": "1e0" }, { where: { zone: 1 } }, /Mcp-Param-Zone/],
    [{ "mcp-param-zone": "=?base64?IDE=?=" }, { where: { zone: 1 } }, /Mcp-Param-Zone/],
  ])("refuses %j for %j", ([headers, args, message]) => {
    expect(failure(() => checkParamHeaders(headers, params, args))).toMatchObject({
      ...MISMATCH,
      message: expect.stringMatching(message),
    });
  });

  test("what a client mirrors by the book is taken, and with any other value refused", () => {
    const value = fc.oneof(fc.string({ unit: "grapheme" }), fc.maxSafeInteger(), fc.boolean());
    return fc.assert(
      fc.property(value, value, (sent, other) => {
        fc.pre(String(sent) !== String(other));
        const headers = { "mcp-param-region": encoded(String(sent)) };
        expect(checkParamHeaders(headers, params, { region: sent })).toBeUndefined();
        expect(failure(() => checkParamHeaders(headers, params, { region: other }))).toMatchObject(MISMATCH);
      }),
    );
  });
});

/** A value as a client has to put it in a header (Streamable HTTP §Value Encoding). */
function encoded(value: string): string {
  const isPlain = /^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/.test(value);
  const isSentinel = value.startsWith("=?base64?") && value.endsWith("?=");
  return isPlain && !isSentinel ? value : `=?base64?${Buffer.from(value).toString("base64")}?=`;
}

function failure(act: () => void): Error {
  try {
    act();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("nothing was refused");
}

test("a million blanks cost as little as they are, wherever they stand", () => {
  // The time limit is the assertion: tried one by one, as the first of those at the end, they take hours.
  const blanks = " \t".repeat(500_000);
  const check = (value: string) => checkRoutingHeaders({ "mcp-method": value }, "ping", undefined);
  expect(() => check(`a${blanks}b`)).toThrow(/Mcp-Method/);
  expect(() => check(`${blanks}ping${blanks}`)).not.toThrow();
  expect(() => check(blanks)).toThrow(/Mcp-Method/);
  // A header that was sent several times.
  const twice = () => checkRoutingHeaders({ "mcp-method": [blanks, `ping${blanks}x`] }, "ping", undefined);
  expect(twice).toThrow(/Mcp-Method/);
});

test("a hundred thousand annotations are read one by one", () => {
  const annotated = (n: number) => [`p${n}`, { type: "string", "x-mcp-header": `H${n}` }] as const;
  const properties = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => annotated(n)));
  expect(headerParams({ properties })).toHaveLength(100_000);
});
