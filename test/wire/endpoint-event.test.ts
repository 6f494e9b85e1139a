/** Where the messages of an HTTP+SSE client go to, out of what the server says: the stream in, the stream out. */

import { describe, expect, test } from "vitest";
import { withEndpoint } from "../../src/proxy/filters/endpoint-event.ts";

const SERVER = new URL("http://server.example:3001/sse");
const AFTER = 'event: message\ndata: {"jsonrpc":"2.0","id":1,"result":{"a":"é✓"}}\n\ndata: half of';

interface Case {
  readonly stream: string;
  readonly becomes: string;
  readonly server?: URL;
  readonly path?: string;
}

const endpoint = (data: string) => `event: endpoint\ndata: ${data}\n\n`;
const same = (stream: string): Case => ({ stream, becomes: stream });
const LONG = "x".repeat(65_536);

const CASES: Readonly<Record<string, Case>> = {
  "a path": {
    stream: endpoint("/message?sessionId=1&a=%20b"),
    becomes: endpoint("/demo/mcp/message?sessionId=1&a=%20b"),
  },
  "the alias of a route": { stream: endpoint("/message"), path: "/mcp", becomes: endpoint("/mcp/message") },
  "a route at the root": { stream: endpoint("/message"), path: "/", becomes: endpoint("/message") },
  "a server below a path": {
    stream: endpoint("/base/message?x=1"),
    server: new URL("http://server.example:3001/base/sse"),
    becomes: endpoint("/demo/mcp/base/message?x=1"),
  },
  "a relative path": {
    stream: endpoint("message?x=1"),
    server: new URL("http://server.example:3001/base/sse?key=1"),
    becomes: endpoint("/demo/mcp/base/message?x=1"),
  },
  "a path upwards": {
    stream: endpoint("../message"),
    server: new URL("http://server.example:3001/base/sse"),
    becomes: endpoint("/demo/mcp/message"),
  },
  "only a query": { stream: endpoint("?sessionId=1"), becomes: endpoint("/demo/mcp/sse?sessionId=1") },
  "a whole address of the server's": {
    stream: endpoint("http://server.example:3001/message?x=1"),
    becomes: endpoint("/demo/mcp/message?x=1"),
  },
  "an address of another server": same(endpoint("http://elsewhere.example/message")),
  "another port": same(endpoint("http://server.example:3002/message")),
  "another scheme, as behind a proxy that ends TLS": {
    stream: endpoint("https://server.example:3001/message"),
    becomes: endpoint("/demo/mcp/message"),
  },
  "another name of this machine": {
    stream: endpoint("http://localhost:3001/message?x=1"),
    server: new URL("http://127.0.0.1:3001/sse"),
    becomes: endpoint("/demo/mcp/message?x=1"),
  },
  "another host by two slashes": same(endpoint("//elsewhere.example/message")),
  "no address at all": same(endpoint("http://[")),
  "line ends of two bytes, and other fields": {
    stream: "id: 1\r\nevent:endpoint\r\nretry: 9\r\ndata:/message\r\n\r\n",
    becomes: "id: 1\r\nevent:endpoint\r\nretry: 9\r\ndata:/demo/mcp/message\r\n\r\n",
  },
  "line ends of old": {
    stream: "event: endpoint\rdata: /message\r\r",
    becomes: "event: endpoint\rdata: /demo/mcp/message\r\r",
  },
  "a byte order mark": {
    stream: `\ufeff${endpoint("/message")}`,
    becomes: `\ufeff${endpoint("/demo/mcp/message")}`,
  },
  "comments and blank lines before it": {
    stream: `\n: ok\n\n: ${LONG.slice(100)}\n\nretry: 3\n\n${endpoint("/message")}`,
    becomes: `\n: ok\n\n: ${LONG.slice(100)}\n\nretry: 3\n\n${endpoint("/demo/mcp/message")}`,
  },
  "an event of another name before it": {
    stream: `event: ping\ndata: 1\n\n${endpoint("/message")}`,
    becomes: `event: ping\ndata: 1\n\n${endpoint("/demo/mcp/message")}`,
  },
  "only the first one": {
    stream: endpoint("/one") + endpoint("/two"),
    becomes: endpoint("/demo/mcp/one") + endpoint("/two"),
  },
  "a message before it": same(`data: 1\n\n${endpoint("/message")}`),
  "the message that begins a resumable stream": same(`id: 1\ndata:\n\n${endpoint("/message")}`),
  "an event that is too long before it": same(`event: ping\ndata: ${LONG}\n\n${endpoint("/message")}`),
  "one that is too long itself": same(endpoint(`/message?${LONG}`)),
  "a long message after it": {
    stream: `${endpoint("/message")}data: ${LONG}${LONG}`,
    becomes: `${endpoint("/demo/mcp/message")}data: ${LONG}${LONG}`,
  },
  "one without an end": same("event: endpoint\ndata: /message\n"),
  nothing: same(""),
};

describe.each(Object.entries(CASES))("%s", (_, { stream, becomes, server = SERVER, path = "/demo/mcp" }) => {
  const isShort = stream.length < 1_000;
  const isOpen = stream !== "" && /[\r\n]{2}$/.test(stream);
  const bytes = Buffer.from(isOpen ? stream + AFTER : stream);
  const expected = isOpen ? becomes + AFTER : becomes;

  test("comes through in one piece", () => {
    expect(passed([bytes], server, path)).toBe(expected);
  });

  test("comes through wherever it is cut", () => {
    const cuts = isShort ? bytes.length : 60;
    for (let at = 1; at < cuts; at++) {
      expect(passed([bytes.subarray(0, at), bytes.subarray(at)], server, path), `cut at ${at}`).toBe(
        expected,
      );
    }
    const size = isShort ? 1 : 1_000;
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, piece) =>
      bytes.subarray(piece * size, (piece + 1) * size),
    );
    expect(passed(pieces, server, path)).toBe(expected);
  });
});

/** What comes out at the other end of a filter that has another one behind it. */
function passed(chunks: readonly Buffer[], server: URL, path: string): string {
  const out: Buffer[] = [];
  const behind = { take: (chunk: Buffer) => chunk, finish: () => Buffer.from("") };
  const filter = withEndpoint(behind, server, path);
  for (const chunk of chunks) out.push(filter.take(chunk));
  out.push(filter.finish());
  return Buffer.concat(out).toString();
}
