/** Requests that real clients seldom send, to a server that says what reached it. */

import type { IncomingMessage, ServerResponse } from "node:http";
import { posting } from "./legacy-session.ts";
import type { Odd } from "./odd.ts";

const READ = { jsonrpc: "2.0", id: 1, method: "resources/read", params: { uri: "a:b" } };
const METHODS = ["POST", "GET", "DELETE", "HEAD", "OPTIONS"];

export const ODD_REQUESTS: Readonly<Record<string, Odd>> = {
  ...Object.fromEntries(
    METHODS.map((method): [string, Odd] => [
      `${method}, with headers in any case`,
      {
        asking: {
          method,
          headers: [
            ["x-ODD", "1"],
            ["X-Odd", "2"],
            ["Cookie", "a=1"],
            ["cookie", "b=2"],
            ["Accept", "*/*"],
            ["X-Empty", ""],
            ["Authorization", "Bearer abc"],
            ["User-Agent", "odd/1"],
            ["Forwarded", "for=1"],
            ["Accept-Encoding", "gzip, br"],
            ["TE", "trailers"],
            ["Proxy-Authorization", "Basic x"],
          ],
          ...(method === "POST" && { body: "{}" }),
        },
        answer: echo,
      },
    ]),
  ),
  "a body in chunks": {
    asking: {
      headers: [
        ["Content-Type", "application/json"],
        ["Transfer-Encoding", "chunked"],
      ],
      chunks: ["{", "}"],
    },
    answer: echo,
  },
  "a request of 3 MB": {
    asking: posting({ ...READ, params: { uri: "x".repeat(3_000_000) } }),
    answer: echo,
  },
  "a query": { asking: posting(READ), query: "&a=%20b&a=c?d&e", answer: echo },
};

/** The request as it reached the server, with its headers as they were written. */
function echo(response: ServerResponse, { method, url, rawHeaders }: IncomingMessage, body: Buffer): void {
  const headers = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1]}`] : []));
  const bytes = { length: body.length, text: body.toString("latin1").slice(0, 100) };
  const isOwn = (line: string) => !/^host: /i.test(line);
  const seen = { method, url, headers: headers.filter(isOwn), body: bytes };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(seen, null, 1));
}
