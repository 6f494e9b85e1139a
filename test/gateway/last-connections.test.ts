import { connect, type Socket } from "node:net";
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
  const sockets = Array.from({ length: CONNECTIONS }, () => connect(Number(port), hostname));
  const answers = sockets.map(answerOn);
  // The system has connected them by then; nobody has taken the connections.
  await new Promise<void>((resolve) => process.nextTick(resolve));

  await gateway.close();
  const heads = (await Promise.all(answers)).map((answer) => answer.split("\r\n", 1)[0]);
  expect(heads).toEqual(sockets.map(() => "HTTP/1.1 404 Not Found"));
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

/** What is answered to a request, or the code of the error. */
function answerOn(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
    });
    socket
      .on("error", ({ code }: NodeJS.ErrnoException) => resolve(code ?? ""))
      .on("close", () => resolve(answer));
    socket.write("GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
  });
}
