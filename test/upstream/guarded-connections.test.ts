import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Agent, buildConnector } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { type HttpListener, UpstreamExchange } from "../../src/upstream/transports/exchange.ts";
import { guardedConnector } from "../../src/upstream/transports/guarded-connections.ts";

const BODY = Buffer.alloc(1_048_576, "a");
/** All of it is there at once, and there is nothing more to come but the end. */
const LITTLE = 1_000;
const FRAMINGS = [
  { framing: "a length", head: (length: number) => `Content-Length: ${length}\r\n` },
  { framing: "no length", head: () => "" },
];

test.each(FRAMINGS)("a server may hang up while nobody reads its answer, of $framing", async ({ head }) => {
  const { body, socket } = await unread(head(LITTLE));
  let text = "";
  for await (const chunk of body) text += chunk;
  expect(text).toBe(BODY.toString("latin1", 0, LITTLE));
  expect(socket.destroyed).toBe(true);
});

test.each([
  ["it is reset", (socket: Socket) => socket.destroy(Object.assign(new Error("x"), { code: "ECONNRESET" }))],
  ["it is closed without a reason", (socket: Socket) => socket.destroy()],
])("whoever has not read an answer is told that the connection broke: %s", async (_, breakOff) => {
  const { body, socket } = await unread("");
  const broken = once(body, "error");
  breakOff(socket);
  await expect(broken).resolves.toMatchObject([{ message: expect.any(String) }]);
});

test.each(FRAMINGS)("one whose answer is read in time is read to its end, of $framing", async ({ head }) => {
  const text = JSON.stringify({ jsonrpc: "2.0", id: 1, result: { text: BODY.toString("latin1") } });
  const post = await postTo((socket) =>
    socket.end(`${HEAD}Content-Type: application/json\r\n${head(text.length)}\r\n${text}`),
  );
  expect(JSON.parse((await post().ended).text)).toMatchObject({ id: 1 });
});

const noDescriptor = (code: string) =>
  Object.assign(new Error(`connect ${code}`), { code, syscall: "connect" });

test.each(["EMFILE", "ENFILE"])("%s is waited out, and the request sent once", async (code) => {
  let requests = 0;
  const server = createServer((socket) => {
    socket.once("data", () => {
      requests += 1;
      socket.end(`${HEAD}Content-Length: 2\r\n\r\n{}`);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const real = buildConnector({});
  let failures = 0;
  const connect: buildConnector.connector = (options, callback) => {
    if (failures === 3) return real(options, callback);
    failures += 1;
    setImmediate(() => callback(noDescriptor(code), null));
  };
  const agent = new Agent({ connect: guardedConnector(10_000, connect) });
  onTestFinished(() => agent.destroy());
  const { port } = server.address() as AddressInfo;
  expect((await post(`http://127.0.0.1:${port}/`, agent).ended).status).toBe(200);
  expect([failures, requests]).toEqual([3, 1]);
});

test("a descriptor that never comes is not waited for without end, and nothing was sent", async () => {
  let tries = 0;
  const connect: buildConnector.connector = (_options, callback) => {
    tries += 1;
    setImmediate(() => callback(noDescriptor("EMFILE"), null));
  };
  const agent = new Agent({ connect: guardedConnector(300, connect) });
  onTestFinished(() => agent.destroy());
  await expect(post("http://127.0.0.1:9/", agent).ended).rejects.toMatchObject({
    message: expect.stringContaining("no file descriptor left"),
    facts: { mayHaveRun: false },
  });
  expect(tries).toBeGreaterThan(1);
});

test("a server waits for whoever has no room for its stream, and loses nothing of it by hanging up", async () => {
  const event = `data: ${"a".repeat(100_000)}\n\n`;
  const events = 640;
  let sent = 0;
  const post = await postTo(async (socket) => {
    socket.write(`${HEAD}Content-Type: text/event-stream\r\n\r\n`);
    for (; sent < events; sent += 1) if (!socket.write(event)) await once(socket, "drain");
    socket.end();
  });
  let bytes = 0;
  let makeRoom = () => {};
  const isThereRoom = new Promise<void>((resolve) => {
    makeRoom = resolve;
  });
  const room = { arrive: () => isThereRoom, restart: () => {}, arrived: () => {} };
  const { ended } = post({ room, onEvent: ({ data }) => (bytes += data.length) });
  const looks: number[] = [];
  const stuck = () => looks.push(sent) > 2 && looks.at(-2) === sent && sent > 0;
  await expect.poll(stuck, { interval: 100 }).toBe(true);
  // Of 64 MB, what the two ends of the connection hold.
  expect(sent).toBeLessThan(events / 2);
  makeRoom();
  await ended;
  expect(bytes).toBe(events * 100_000);
});

const HEAD = "HTTP/1.1 200 OK\r\nConnection: close\r\n";

/** An answer that has come as a whole and fills what it may, so that it is not read on, and its connection. */
async function unread(head: string) {
  const origin = await serverThat((socket) => {
    socket.write(`${HEAD}${head}\r\n`);
    socket.end(BODY.subarray(0, LITTLE));
  });
  const connect = guardedConnector(1_000);
  let socket: Socket | undefined;
  const agent = agentWith((options, callback) =>
    connect(options, (...[error, connected]) => {
      if (error !== null) return callback(error, null);
      socket = connected;
      callback(null, connected);
    }),
  );
  const { body } = await agent.request({ origin, path: "/", method: "GET", highWaterMark: 1 });
  body.on("error", () => {});
  // Without a guard the process ends here.
  await expect.poll(() => socket?.readableEnded).toBe(true);
  return { body, socket: socket as unknown as Socket };
}

async function postTo(answer: (socket: Socket) => unknown) {
  const dispatcher = agentWith(guardedConnector(1_000));
  const url = await serverThat(answer);
  return (listener?: HttpListener) => post(url, dispatcher, listener);
}

function post(url: string, dispatcher: Agent, listener?: HttpListener): UpstreamExchange {
  const request = { method: "POST", url: new URL(url), headers: {}, body: "{}" } as const;
  return UpstreamExchange.send(request, { dispatcher, maxMessageBytes: 4_000_000 }, listener);
}

function agentWith(connect: buildConnector.connector): Agent {
  const agent = new Agent({ connect, bodyTimeout: 0 });
  onTestFinished(() => agent.destroy());
  return agent;
}

/** Answers whoever comes, and says nothing else. */
async function serverThat(answer: (socket: Socket) => unknown): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => void answer(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
