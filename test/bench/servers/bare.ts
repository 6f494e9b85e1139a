/** The floor: plain `node:http` that reads a request and answers with bytes it has been given as its argument. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const body = process.argv[2] ?? "";
const head = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };

const http = createServer((request, response) => {
  request.resume().once("end", () => response.writeHead(200, head).end(body));
});
http.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`);
});
