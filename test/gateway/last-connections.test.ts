import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { Poller } from "../support/draining.ts";
import { gatewayFor } from "../support/gateway.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

const CONNECTIONS = 20;
/** More than the system keeps for a client that does not read. */
const LARGE = 20_000_000;

test("whoever was connected when a gateway begins to stop is answered, also where it has not noticed them yet", async (t) => {
  const server = await startScriptedServer({});
  t.onTestFinished(() => server.close());
  const { gateway } = await gatewayFor({ upstream: server.url });
  const { hostname, port } = new URL(gateway.url);
  const connected = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const crowd = new Worker(CROWD, {
    eval: true,
    workerData: { hostname, port: Number(port), count: CONNECTIONS, connected },
  });
  t.onTestFinished(async () => void (await crowd.terminate()));
  const heads = once(crowd, "message");
  await once(crowd, "online");
  // Nobody takes a connection meanwhile.
  for (let count = 0; count < CONNECTIONS; count = Atomics.load(connected, 0))
    Atomics.wait(connected, 0, count);

  await gateway.close();
  expect(await heads).toEqual([Array(CONNECTIONS).fill("HTTP/1.1 404 Not Found")]);
});

test("an answer that a client is still reading when a gateway begins to stop is read to its end", async (t) => {
  const text = "x".repeat(LARGE);
  const server = await startScriptedServer({
    "tools/call": (call) => call.json({ content: [{ type: "text", text }] }),
  });
  t.onTestFinished(() => server.close());
  const { gateway, client } = await gatewayFor({ upstream: server.url, limits: { drainTimeoutMs: 10_000 } });
  const { body } = await client({ capabilities: {} }).open("tools/call", { name: "large" });

  const others = new Poller(client(), "none");
  const closed = gateway.close();
  await Promise.race([others.more(20), others.over]);
  const answer = await body.text();
  expect(JSON.parse(answer)).toMatchObject({ result: { content: [{ text }] } });
  await closed;
  await others.over;
});

/** Connects and asks in a thread of its own, counts who is connected, and tells the first line of every answer, or the error. */
const CROWD = `
const { connect } = require("node:net");
const { parentPort, workerData } = require("node:worker_threads");
const { hostname, port, count, connected } = workerData;
const answerOn = (socket) =>
  new Promise((resolve) => {
    let answer = "";
    socket
      .setEncoding("utf8")
      .on("connect", () => {
        Atomics.add(connected, 0, 1);
        Atomics.notify(connected, 0);
      })
      .on("data", (text) => {
        answer += text;
      })
      .on("error", ({ code }) => resolve(code))
      .on("close", () => resolve(answer.split("\\r\\n", 1)[0]))
      .write("GET /none HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n");
  });
Promise.all(Array.from({ length: count }, () => answerOn(connect(port, hostname)))).then((heads) =>
  parentPort.postMessage(heads),
);`;
