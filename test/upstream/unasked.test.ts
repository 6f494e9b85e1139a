/** What servers send unasked, to sessions in which nobody calls: where it is listened to, and what is answered. */

import { expect, onTestFinished, test } from "vitest";
import { type ScriptedServerOptions, startScriptedServer } from "../support/scripted-server.ts";
import { upstreamOf } from "../support/upstream.ts";

async function connected(options: ScriptedServerOptions = {}) {
  const server = await startScriptedServer(
    {},
    { capabilities: { tools: { listChanged: true } }, ...options },
  );
  onTestFinished(server.close);
  const upstream = upstreamOf(server.url);
  const control = upstream.control({ caller: "ada", headers: {}, capabilities: {} });
  await control.describe();
  return { server, control };
}

const ASKED = ["elicitation/create", "sampling/createMessage", "roots/list", "x/unknown"] as const;

test.each(ASKED)(
  "%s on an idle session is left to whoever else was asked; ping is answered",
  async (method) => {
    const { server } = await connected();
    const stream = await server.stream();
    void stream.ask(method, {}, "question");
    expect(await stream.ask("ping", {}, "ping")).toMatchObject({ id: "ping", result: {} });
    expect(server.received.filter(({ message }) => message.id === "question")).toEqual([]);
  },
);

test("the only stream of a server without sessions is taken only while somebody listens", async () => {
  const { server, control } = await connected({ stateless: true });
  const gets = () => server.received.filter(({ method }) => method === "GET").length;
  await control.ask("tools/list");
  expect(gets()).toBe(0);
  const heard: string[] = [];
  const stop = control.listen(({ method }) => void heard.push(method));
  const stream = await server.stream();
  stream.notify("notifications/tools/list_changed");
  await expect.poll(() => heard).toEqual(["notifications/tools/list_changed"]);
  stop();
  await stream.closed;
  await control.ask("tools/list");
  expect(gets()).toBe(1);
  const stopAgain = control.listen(() => {});
  await server.arrival("GET", 2);
  stopAgain();
});

test("in a session of its own a control session listens all the time", async () => {
  const { server, control } = await connected();
  await server.arrival("GET");
  await control.ask("tools/list");
  expect(server.received.filter(({ method }) => method === "GET")).toHaveLength(1);
});
