/** Answers that real servers seldom give. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { call, posting } from "./legacy-session.ts";
import type { Odd } from "./odd.ts";
import type { Asking } from "./raw-client.ts";

const calling = posting(call(1, "any"));
const reading = posting({ jsonrpc: "2.0", id: 1, method: "resources/read", params: { uri: "a:b" } });
const JSON_TYPE = { "content-type": "application/json" };
const EVENTS = { "content-type": "text/event-stream" };
const RESULT = '{"jsonrpc":"2.0","id":1,"result":{"text":"é✓𝄞"}}';
const ASKING_GZIP: Asking["headers"] = [["Accept-Encoding", "gzip, br"]];

export const ODD_ANSWERS: Readonly<Record<string, Odd>> = {
  "headers twice, in any case": {
    asking: calling,
    answer: (response) =>
      response
        .writeHead(
          200,
          [
            ["X-Odd", "1"],
            ["x-odd", "2"],
            ["Set-Cookie", "a=1; Path=/"],
            ["X-Empty", ""],
            ["SET-COOKIE", "b=2, c=3"],
            ["Content-Type", "application/json"],
            ["X-Latin", "\xe9"],
            ["Mcp-Session-Id", "one"],
          ].flat(),
        )
        .end(RESULT),
  },
  "a phrase of the server's own": {
    asking: calling,
    answer: (response) => response.writeHead(200, "Fine By Me", JSON_TYPE).end(RESULT),
  },
  "credentials are wanted": {
    asking: calling,
    answer: (response) =>
      response
        .writeHead(401, [
          "WWW-Authenticate",
          'Bearer resource_metadata="http://a.b/c"',
          "WWW-Authenticate",
          "Basic",
        ])
        .end(),
  },
  "a redirection": {
    asking: calling,
    answer: (response) =>
      response.writeHead(302, { Location: "http://127.0.0.1:1/elsewhere" }).end("over there"),
  },
  "a permanent redirection of a GET": {
    asking: { method: "GET" },
    answer: (response) => response.writeHead(301, { Location: "/other" }).end(),
  },
  "no content": { asking: calling, answer: (response) => response.writeHead(204, { "X-Odd": "1" }).end() },
  "not modified": {
    asking: { method: "GET", headers: [["If-None-Match", '"1"']] },
    answer: (response) => response.writeHead(304, { ETag: '"1"' }).end(),
  },
  "an empty body": {
    asking: calling,
    answer: (response) => response.writeHead(200, { ...JSON_TYPE, "content-length": 0 }).end(),
  },
  "a page of an error": {
    asking: reading,
    answer: (response) => response.writeHead(503, { "Retry-After": "7" }).end("<h1>Sorry</h1>"),
  },
  "a status that nobody knows": {
    asking: reading,
    answer: (response) => response.writeHead(599, { "X-Odd": "1" }).end("?"),
  },
  "hints before the answer": {
    asking: reading,
    answer: (response) => {
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      response.writeHead(200, JSON_TYPE).end(RESULT);
    },
  },
  "trailers behind the body": {
    asking: reading,
    answer: (response) => {
      response.writeHead(200, { ...JSON_TYPE, Trailer: "X-Sum" });
      response.write(RESULT);
      response.addTrailers({ "X-Sum": "1" });
      response.end();
    },
  },
  "headers of the connection": {
    asking: reading,
    answer: (response) =>
      response
        .writeHead(200, {
          ...JSON_TYPE,
          "Keep-Alive": "timeout=77",
          "Proxy-Authenticate": "Basic",
          "X-Odd": "1",
        })
        .end(RESULT),
  },
  "a connection that closes": {
    asking: reading,
    answer: (response) => response.writeHead(200, { ...JSON_TYPE, Connection: "close" }).end(RESULT),
  },
  "a body of a length": {
    asking: calling,
    answer: (response) =>
      response.writeHead(200, { ...JSON_TYPE, "Content-Length": Buffer.byteLength(RESULT) }).end(RESULT),
  },
  "a body byte by byte": {
    asking: calling,
    answer: (response) => bytewise(response.writeHead(200, JSON_TYPE), Buffer.from(RESULT)),
  },
  "events byte by byte": {
    asking: calling,
    answer: (response) =>
      bytewise(
        response.writeHead(200, EVENTS),
        Buffer.from(`\ufeff: é\r\n\r\nid: 1\rretry: 2\rdata: {"n":1}\r\rdata: ${RESULT}\n\ndata: after`),
      ),
  },
  "events in one piece, with a length": {
    asking: calling,
    answer: (response) => {
      const events = `data: {"n":1}\n\ndata: ${RESULT}\n\n`;
      response.writeHead(200, { ...EVENTS, "content-length": Buffer.byteLength(events) }).end(events);
    },
  },
  "messages before and behind the answer": {
    asking: calling,
    answer: (response) => {
      response.writeHead(200, EVENTS);
      for (let n = 0; n < 200; n++) response.write(`id: ${n}\ndata: {"n":${n}}\n\n`);
      response.write(`data: ${RESULT}\n\n`);
      for (let n = 0; n < 200; n++) response.write(`data: {"after":${n}}\n\n`);
      response.end();
    },
  },
  "an answer of 5 MB": {
    asking: calling,
    answer: (response) => response.writeHead(200, JSON_TYPE).end(JSON.stringify("✓".repeat(1_700_000))),
  },
  "an event of 5 MB": {
    asking: calling,
    answer: (response) =>
      response.writeHead(200, EVENTS).end(`data: ${JSON.stringify("✓".repeat(1_700_000))}\n\n`),
  },
  "an answer that breaks off": {
    asking: calling,
    answer: (response) => {
      response.writeHead(200, JSON_TYPE);
      response.write(RESULT.slice(0, 20), () => response.socket?.destroySoon());
    },
  },
  "a compressed answer to a call": {
    asking: { ...calling, headers: [...(calling.headers ?? []), ...ASKING_GZIP] },
    answer: gzipped,
  },
  "another compressed answer": {
    asking: { ...reading, headers: [...(reading.headers ?? []), ...ASKING_GZIP] },
    answer: gzipped,
  },
  "an answer that is compressed in any case": {
    asking: calling,
    answer: (response) =>
      response.writeHead(200, { ...JSON_TYPE, "Content-Encoding": "gzip" }).end(gzipSync(RESULT)),
  },
};

function bytewise(response: ServerResponse, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; at++) response.write(bytes.subarray(at, at + 1));
  response.end();
}

function gzipped(response: ServerResponse, { headers }: IncomingMessage): void {
  const isWanted = /gzip/.test(headers["accept-encoding"]?.toString() ?? "");
  response.writeHead(200, {
    ...JSON_TYPE,
    Vary: "Accept-Encoding",
    ...(isWanted && { "Content-Encoding": "gzip" }),
  });
  response.end(isWanted ? gzipSync(RESULT) : RESULT);
}
