import { describe, expect, test } from "vitest";
import {
  fromServer,
  isJsonRpcError,
  RpcError,
  rpc,
  toModernError,
  toRpcError,
} from "../../src/protocol/errors.ts";

const TASKS = { extensions: { "io.modelcontextprotocol/tasks": {} } };

test.for<[RpcError, code: number, httpStatus: number]>([
  [rpc.parseError("x"), -32700, 400],
  [rpc.invalidRequest("x"), -32600, 400],
  [rpc.methodNotFound("x"), -32601, 404],
  [rpc.invalidMeta("x"), -32602, 400],
  [rpc.invalidParams("x"), -32602, 200],
  [rpc.unknownTask(), -32602, 200],
  [rpc.invalidRequestState(), -32602, 200],
  [rpc.internal("x"), -32603, 200],
  [rpc.resultTooLarge(2, 1), -32603, 200],
  [rpc.storeUnavailable(), -32603, 503],
  [rpc.stopping(), -32603, 503],
  [rpc.stopped(), -32603, 200],
  [rpc.limitExceeded({ limit: "x", max: 1, httpStatus: 429, retryAfterMs: 1 }), -32603, 429],
  [rpc.upstreamFailed("x", {}), -32603, 200],
  [rpc.upstreamFailed("x", { status: 500 }), -32603, 200],
  [rpc.upstreamFailed("x", { status: 401 }), -32603, 401],
  [rpc.upstreamFailed("x", { status: 403 }), -32603, 403],
  [rpc.headerMismatch("X", { header: undefined, body: "x" }), -32020, 400],
  [rpc.invalidHeader("X", "x"), -32020, 400],
  [rpc.missingCapability(TASKS), -32021, 400],
  [rpc.unsupportedVersion("x", ["y"]), -32022, 400],
  [rpc.forbidden("x"), -32600, 403],
  [rpc.methodNotAllowed("GET"), -32600, 405],
  [rpc.notAcceptable("x"), -32600, 406],
  [rpc.bodyTooLarge(1), -32600, 413],
  [rpc.unsupportedMediaType("x"), -32600, 415],
])("%j has the code %i and the HTTP status %i", ([error, code, httpStatus]) => {
  expect(error).toMatchObject({ code, httpStatus });
  expect(error.message).not.toBe("");
});

test("the data of an error is what the specification says", () => {
  expect(rpc.unsupportedVersion("2030-01-01", ["2026-07-28"]).toJSON()).toEqual({
    code: -32022,
    message: 'Unsupported protocol version "2030-01-01"; supported: 2026-07-28',
    data: { supported: ["2026-07-28"], requested: "2030-01-01" },
  });
  expect(rpc.missingCapability(TASKS).toJSON()).toEqual({
    code: -32021,
    message: "Missing required client capability: io.modelcontextprotocol/tasks",
    data: { requiredCapabilities: TASKS },
  });
  expect(Object.keys(rpc.unknownTask().toJSON())).toEqual(["code", "message"]);
});

test.for([rpc.storeUnavailable(), rpc.stopping()])(
  "%j says that it may be tried again, and when, also in a header",
  (error) => {
    expect(error.data).toEqual({ retryable: true, retryAfterMs: 1_000 });
    expect(error.headers).toEqual({ "Retry-After": "1" });
  },
);

test("a server's wish for credentials is passed on with its challenge", () => {
  const challenge = 'Bearer realm="x"';
  expect(rpc.upstreamFailed("no", { status: 401, wwwAuthenticate: challenge }).headers).toEqual({
    "WWW-Authenticate": challenge,
  });
  expect(rpc.upstreamFailed("no", { status: 500, wwwAuthenticate: challenge }).headers).toEqual({});
  expect(rpc.methodNotAllowed("GET").headers).toEqual({ Allow: "POST" });
});

test.for([-32020, -32021, -32022, -32042, -32099])(
  "a server's %i would be read as something else, so it travels in the data of a -32603",
  (code) => {
    const upstream = { code, message: "mine", data: { a: 1 } };
    expect(toModernError(upstream)).toEqual({ code: -32603, message: "mine", data: { upstream } });
  },
);

test.for([-32000, -32001, -32019, -32100, -32600, -32601, -32602, -32603, -32700, 0, 42])(
  "a server's %i stays what it is",
  (code) => {
    const upstream = { code, message: "mine", data: [1], unknown: true };
    expect(toModernError(upstream)).toBe(upstream);
  },
);

test("a server's -32002 is what -32602 is now", () => {
  expect(toModernError({ code: -32002, message: "no such resource", data: { uri: "a:b" } })).toEqual({
    code: -32602,
    message: "no such resource",
    data: { uri: "a:b" },
  });
});

test.for<[number, number]>([
  [-32601, 404],
  [-32602, 200],
  [-32603, 200],
  [-32002, 200],
  [-32020, 200],
  [7, 200],
])("a server's %i is told with the HTTP status %i", ([code, httpStatus]) => {
  expect(fromServer({ code, message: "mine" }).httpStatus).toBe(httpStatus);
});

describe("toRpcError", () => {
  test("leaves an answer as it is", () => {
    const error = rpc.unknownTask();
    expect(toRpcError(error)).toBe(error);
  });

  test.for([new Error("the password is secret"), "secret", undefined, { code: -32700, message: "secret" }])(
    "tells nothing of %j",
    (caught) => {
      expect(JSON.stringify(toRpcError(caught))).toBe('{"code":-32603,"message":"Internal error"}');
    },
  );
});

test.for<[unknown, boolean]>([
  [{ code: 1, message: "" }, true],
  [{ code: 1, message: "x", data: null, more: 1 }, true],
  [new RpcError({ code: 1, message: "x" }), true],
  [{ code: 1.5, message: "x" }, false],
  [{ code: "1", message: "x" }, false],
  [{ code: 1 }, false],
  [[], false],
  [null, false],
  ["error", false],
])("isJsonRpcError(%j) is %j", ([value, is]) => {
  expect(isJsonRpcError(value)).toBe(is);
});
