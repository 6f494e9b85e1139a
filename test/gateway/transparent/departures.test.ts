/** Clients that leave before they have their answer. */

import { once } from "node:events";
import { setImmediate } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { ask, head, open } from "./clients.ts";
import { bareFront, type Front, proxyFront } from "./fronts.ts";
import { type Handler, type Origin, startOrigin } from "./origins.ts";

const stream: Handler = (_request, response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.write(": open\n\n");
};
const silence: Handler = () => undefined;

const REQUESTS = [
  ["an event stream", stream, head("GET", "/held")],
  ["a POST that waits", silence, `${head("POST", "/held", ["Content-Length: 2"])}{}`],
] as const;

/** Who asks for anything but `/held` is answered at once. */
const besides =
  (held: Handler): Handler =>
  (request, response) => {
    if (request.url === "/held") held(request, response);
    else response.end("fine");
  };

test.each(REQUESTS)("bare: whoever leaves %s leaves it open at the server", async (_what, held, request) => {
  const origin = await startOrigin(besides(held));
  const front = await bareFront(origin.url);
  await openAndVanish(front, origin, request, 20);
  await front.until(() => front.pending === 0, "the proxy sees them go");
  // Whatever the proxy did about it, it did before this.
  await ask(front.url, { path: "/later" });
  expect(origin.pending).toBe(20);
});

test.each(REQUESTS)(
  "the proxy: whoever leaves %s takes the server's end along",
  async (_what, held, request) => {
    const origin = await startOrigin(besides(held));
    const front = await proxyFront(origin.url);
    await openAndVanish(front, origin, request, 20);
    await origin.until(() => origin.pending === 0, "every request of a client that left is gone");
    await front.until(() => front.over === 20, "every exchange is over");
  },
);

test("the proxy: 2,000 streams and 500 waiting POSTs that are left leave nothing", async () => {
  const origin = await startOrigin((request, response) => {
    (request.method === "GET" ? stream : silence)(request, response);
  });
  const front = await proxyFront(origin.url, { headTimeoutMs: 3_600_000 });
  const [streams, posts] = REQUESTS.map(([, , request]) => request);

  for (let batch = 0; batch < 8; batch += 1) await openAndVanish(front, origin, streams ?? "", 250);
  for (let batch = 0; batch < 2; batch += 1) await openAndVanish(front, origin, posts ?? "", 250);

  await origin.until(() => origin.pending === 0, "no request is left at the server");
  await origin.until(() => origin.sockets === 0, "no connection to the server is left");
  await front.until(() => front.sockets === 0, "no connection of a client is left");
  expect(front).toMatchObject({ over: 2_500, rejections: [], pending: 0 });
  expect(origin.received.length).toBe(2_500);
  await connectionsAreGone();
  expect(process.getActiveResourcesInfo().filter((kind) => kind === "Timeout")).toEqual([]);
});

test("the proxy: a connection that serves request after request collects no listeners", async () => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const listeners: number[][] = [];
  const front = await proxyFront(
    origin.url,
    {},
    {
      before: ({ socket }, response) => {
        const names = ["close", "drain", "error", "end", "data", "timeout"];
        listeners.push(names.map((name) => socket.listenerCount(name) + response.listenerCount(name)));
      },
    },
  );
  const warnings: Error[] = [];
  const warn = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warn);
  onTestFinished(() => void process.off("warning", warn));
  const client = open(front.url, "");
  for (let nth = 0; nth < 12; nth += 1) {
    client.send(head("GET", `/${nth}`));
    await front.until(() => front.over === nth + 1, `answer ${nth}`);
  }
  expect(origin.connections).toBe(1);
  expect(new Set(listeners.slice(1).map(String)).size).toBe(1);
  expect(warnings).toEqual([]);
});

test("the proxy: a client that has left before it begins costs the server nothing", async () => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const front = await proxyFront(
    origin.url,
    {},
    {
      before: async (request, response) => {
        if (request.url !== "/held") return;
        response.destroy();
        await once(response, "close");
      },
    },
  );
  const client = open(front.url, head("GET", "/held"));
  await client.closed();
  await front.until(() => front.over === 1, "the exchange is over");
  await ask(front.url, { path: "/later" });
  expect(origin.received.map(({ url }) => url)).toEqual(["/later"]);
});

async function openAndVanish(front: Front, origin: Origin, request: string, count: number): Promise<void> {
  const asked = origin.received.length;
  const clients = Array.from({ length: count }, () => open(front.url, request));
  await origin.until(() => origin.received.length === asked + count, `${count} more requests`);
  const isStream = request.startsWith("GET");
  if (isStream) await Promise.all(clients.map((client) => client.until(": open")));
  for (const client of clients) client.leave();
  await Promise.all(clients.map((client) => client.closed()));
}

/** A connection that has been destroyed is still there for a turn or two. */
async function connectionsAreGone(): Promise<void> {
  while (process.getActiveResourcesInfo().includes("TCPSocketWrap")) await setImmediate();
}
