// The MCP client and the receiver of the AI SDK: `ai-sdk.mjs MODULE GATEWAY USER`. It subscribes to the gateway's event, and prints a line of JSON
// for all that it learns. A line on its standard input makes it ask again, and the end of it end the subscription.

import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [module, gateway, user] = process.argv.slice(2);
const { createMCPClient, experimental_createMCPEventWebhook } = await import(pathToFileURL(module).href);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const kept = new Map();
const store = {
  get: async (key) => kept.get(key),
  getById: async (id) => [...kept.values()].find((one) => one.id === id),
  set: async (one) => void kept.set(one.key, one),
  update: async (key, patch) => void kept.set(key, { ...kept.get(key), ...patch }),
  delete: async (key) => void kept.delete(key),
};
const receive = experimental_createMCPEventWebhook({
  store,
  onEvent: async ({ subscription, event }) => say({ kind: "event", subscription: subscription.id, event }),
  onError: (error) => say({ kind: "error", message: String(error) }),
});

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const answer = await receive(
    new Request(new URL(request.url, "http://localhost"), {
      method: request.method,
      headers: request.headers,
      body: Buffer.concat(chunks),
    }),
  );
  say({ kind: "answered", status: answer.status });
  response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
});
server.listen(0, "127.0.0.1");
await once(server, "listening");

const client = await createMCPClient({
  transport: { type: "http", url: gateway, headers: { "x-user": user } },
  experimental_events: { store },
});
const events = client.experimental_events;
say({ kind: "listed", events: (await events.list()).events });
const url = `http://127.0.0.1:${server.address().port}/events`;
const delivery = { mode: "webhook", url, allowInsecureLocalhost: true };
const { id } = await events.subscribe({ name: "taskgate.task.updated", arguments: {}, delivery });
say({ kind: "granted", id });

for await (const _ of createInterface({ input: process.stdin }))
  say({ kind: "granted", id: (await events.refresh({ id })).id });
await events.unsubscribe({ id });
say({ kind: "ended" });
await client.close();
server.closeAllConnections();
server.close();
