import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { Agent } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { upstreamFetch } from "../../src/upstreams/fetch.ts";
import { guardedConnector } from "../../src/upstreams/guarded-connections.ts";

const BODY = Buffer.alloc(1_048_576, "a");
/** All of it is there at once, and there is nothing more to come but the end. */
const LITTLE = 1_000;
const FRAMINGS = [
  { framing: "a length", head: `Content-Length: ${LITTLE}\r\n` },
  { framing: "no length", head: "" },
];

test.each(FRAMINGS)("a server may hang up while nobody reads its answer, of $framing", async ({ head }) => {
  const { url } = await hangingUp(head, BODY.subarray(0, LITTLE));
  const agent = new Agent({ connect: guardedConnector(1_000) });
  onTestFinished(() => agent.destroy());
  const { body } = await agent.request({ origin: url, path: "/", method: "GET", highWaterMark: 1 });
  const broken = once(body, "error");
  // Without a guard the process ends here; the answer is not complete for all that is known.
  await expect(broken).resolves.toMatchObject([
    { message: "the connection ended before the answer was read" },
  ]);
});

test.each(FRAMINGS)("one whose answer is read in time is read to its end, of $framing", async ({ head }) => {
  const text = JSON.stringify({ jsonrpc: "2.0", id: 1, result: { text: BODY.toString("latin1") } });
  const length = head === "" ? "" : `Content-Length: ${text.length}\r\n`;
  const { url } = await hangingUp(`Content-Type: application/json\r\n${length}`, Buffer.from(text));
  const agent = new Agent({ connect: guardedConnector(1_000) });
  onTestFinished(() => agent.destroy());
  const fetch = upstreamFetch({ dispatcher: agent, maxMessageBytes: 4_000_000 });
  const answer = await fetch(url, { method: "POST", body: "{}" });
  expect(await answer.json()).toMatchObject({ id: 1 });
});

/** Answers whoever comes, in one go, and ends the connection. */
async function hangingUp(head: string, body: Buffer) {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\n${head}Connection: close\r\n\r\n`);
      socket.end(body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
