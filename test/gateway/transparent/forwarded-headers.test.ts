import { expect, test } from "vitest";
import { answerHeaders, requestHeaders } from "../../../src/protocol/forwarded-headers.ts";

test.each<[what: string, raw: string[], given: Record<string, string>, expected: [string, string[]][]]>([
  [
    "case and order stay",
    ["X-B", "1", "x-A", "2"],
    {},
    [
      ["X-B", ["1"]],
      ["x-A", ["2"]],
    ],
  ],
  [
    "duplicates stay, under the first spelling",
    ["X-A", "1", "Y", "2", "x-a", "3"],
    {},
    [
      ["X-A", ["1", "3"]],
      ["Y", ["2"]],
    ],
  ],
  ["the host is the server's", ["Host", "client", "hOST", "again"], { host: "given" }, []],
  [
    "what belongs to the connection stays there",
    [
      "Connection",
      "close",
      "Keep-Alive",
      "1",
      "TE",
      "trailers",
      "Trailer",
      "x",
      "Upgrade",
      "h2c",
      "Expect",
      "100",
    ],
    {},
    [],
  ],
  ["framing is made anew", ["Transfer-Encoding", "chunked", "Content-Length", "5"], {}, []],
  [
    "nothing of proxies goes on",
    ["Proxy-Authorization", "a", "proxy-connection", "b", "HTTP2-Settings", "c"],
    {},
    [],
  ],
  [
    "what Connection names goes with it, in every one of them",
    ["Connection", "keep-alive, X-One", "X-One", "1", "x-two", "2", "connection", "X-TWO", "X-Three", "3"],
    {},
    [["X-Three", ["3"]]],
  ],
  [
    "a replacement stands for all of a name",
    ["Authorization", "a", "AUTHORIZATION", "b"],
    { authorization: "c" },
    [["authorization", ["c"]]],
  ],
  ["a replacement frames nothing", [], { "transfer-encoding": "chunked", "content-length": "3" }, []],
  [
    "names of Object's are names like others",
    ["__proto__", "1", "constructor", "2"],
    {},
    [
      ["__proto__", ["1"]],
      ["constructor", ["2"]],
    ],
  ],
])("of a request: %s", (_what, raw, given, expected) => {
  expect([...requestHeaders(raw, given)]).toEqual(expected);
});

test.each<[what: string, raw: string[], isRewritten: boolean, expected: string[]]>([
  [
    "names, case, order and duplicates stay",
    ["Set-Cookie", "a", "X-b", "1", "set-cookie", "c", "Set-Cookie", "d"],
    false,
    ["Set-Cookie", "a", "X-b", "1", "set-cookie", "c", "Set-Cookie", "d"],
  ],
  ["the length stays", ["Content-Length", "5"], false, ["Content-Length", "5"]],
  [
    "rewritten bytes have another length, tag and digest",
    [
      "Content-Length",
      "5",
      "ETag",
      '"a"',
      "Content-MD5",
      "b",
      "Digest",
      "c",
      "Accept-Ranges",
      "bytes",
      "X",
      "y",
    ],
    true,
    ["X", "y"],
  ],
  [
    "what belongs to the connection stays there",
    ["Connection", "close, X-Hop", "X-Hop", "1", "Keep-Alive", "timeout=9", "Trailer", "t", "Upgrade", "h2c"],
    false,
    [],
  ],
  ["chunks are made anew", ["Transfer-Encoding", "chunked"], false, []],
  [
    "a length that Connection names goes with it",
    ["Connection", "Content-Length", "Content-Length", "5"],
    false,
    [],
  ],
])("of an answer: %s", (_what, raw, isRewritten, expected) => {
  expect(answerHeaders(raw, { isRewritten })).toEqual(expected);
});
