/** Clients that take their time, or the gateway's: nobody else waits for them. */

import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { open } from "../../gateway/transparent/clients.ts";
import { fronted } from "../../http/fronted.ts";
import { LIST_HEADERS, messageText, served } from "../../http/served.ts";

const HALF_OPEN = 1_000;
const HEAD = Object.entries(LIST_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);

test("a client is served while a thousand others have begun a request and do not go on", async () => {
  const { url, client, server } = await served();
  const beginnings = [
    "",
    "P",
    "POST /mcp HTTP/1.1\r\n",
    `POST /mcp HTTP/1.1\r\n${HEAD[0]}`,
    `POST /mcp HTTP/1.1\r\n${HEAD.join("")}content-length: 4000000\r\n\r\n{`,
    `POST /mcp HTTP/1.1\r\n${HEAD.join("")}transfer-encoding: chunked\r\n\r\n1\r\n{\r\n`,
    `POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\nfffff`,
    `POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n`,
  ];
  const sockets = await Promise.all(
    Array.from({ length: HALF_OPEN }, (_, at) => begun(url, beginnings[at % beginnings.length] ?? "")),
  );
  const user = client();
  for (let polls = 0; polls < 20; polls += 1) expect((await user.send("tools/list")).status).toBe(200);
  expect(sockets.filter(({ destroyed }) => destroyed)).toEqual([]);
  for (const socket of sockets) socket.destroy();
  await Promise.all(sockets.map((socket) => socket.closed || once(socket, "close")));
  expect((await user.send("tools/list")).status).toBe(200);
  // None of those had asked for anything.
  expect(server.received.filter(({ method }) => method === "tools/list")).toHaveLength(21);
});

test("a body in as many chunks as it has bytes is read", async () => {
  const { url, reached } = await fronted();
  const body = `{"a":"${"x".repeat(5_000)}"}`;
  const chunks = [...body].map((byte) => `1\r\n${byte}\r\n`).join("");
  const connection = open(
    url,
    `POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
  );
  await connection.closed();
  expect(connection.received).toMatch(/^HTTP\/1\.1 200 /);
  expect(reached().map((request) => request.body.toString())).toEqual([body]);
});

test("requests that are sent without waiting are answered in their order, one by one", async () => {
  const { url } = await served();
  const count = 60;
  const requests = Array.from({ length: count }, (_, id) => {
    const text = messageText({ id });
    return `POST /mcp HTTP/1.1\r\n${HEAD.join("")}content-length: ${text.length}\r\n\r\n${text}`;
  });
  const connection = open(url, requests.join(""));
  await connection.until(`"id":${count - 1},`);
  const ids = [...connection.received.matchAll(/"id":(\d+),/g)].map(([, id]) => Number(id));
  expect(ids).toEqual(Array.from({ length: count }, (_, id) => id));
  connection.leave();
});

test("no more than some are served at once for one connection, which is closed beyond that", async () => {
  const { url, origins } = await fronted({
    answer: ({ url }, response) => void (url === "/page" || response.end()),
  });
  const request = "GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
  const patient = open(url, request.repeat(65));
  const [origin] = origins;
  await origin?.until(() => origin.pending === 65, "all of the first");
  const hasty = open(url, request.repeat(2_000));
  await hasty.closed();
  await origin?.until(() => origin.pending === 65, "those of the second to be let go");
  expect(origin?.received.length).toBeLessThan(200);
  expect(patient.isClosed).toBe(false);
});

/** A connection on which something has been said. */
async function begun(url: URL, text: string): Promise<Socket> {
  const socket = createConnection(Number(url.port), url.hostname);
  socket.on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  socket.write(text);
  return socket;
}

test("who leaves while its requests wait for their turn takes all of them along", async () => {
  const { url, origins } = await fronted({
    answer: ({ url }, response) => void (url === "/page" || response.end()),
  });
  const connection = open(url, "GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(10));
  const [origin] = origins;
  await origin?.until(() => origin.pending === 10, "all of them");
  connection.leave();
  await origin?.until(() => origin.pending === 0, "all of them to be let go");
});
