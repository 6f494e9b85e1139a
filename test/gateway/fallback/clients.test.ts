/** Who gets the fallback, and who does not; and whose a word is. */

import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { gatewayFor } from "../../support/gateway.ts";
import { byName, LegacyWire } from "../../support/legacy-wire.ts";
import type { ModernClient } from "../../support/modern-client.ts";
import { complete, modernStory } from "../../support/modern-server.ts";
import { redisForTest, withoutRedis } from "../../support/redis-tests.ts";
import type { Script } from "../../support/scripted-server.ts";
import { count, expectCancelled, gate, story, textOf, textResult } from "../../support/story.ts";
import { follow, GENERATIONS, nextOf, PATIENT, plainly, SOON } from "./model.ts";

const silent: Script = () => undefined;
const namesOf = ({ tools }: { readonly tools: readonly JsonObject[] }) => tools.map(({ name }) => name);

test("a client that declares tasks sees nothing of it", async () => {
  const { opened, open } = gate();
  const script: Script = async (call) => {
    await opened;
    call.json(textResult("done"));
  };
  const { url, user } = await story({ "tools/call": script }, { policy: { ...SOON, waitForMs: 0 } });
  expect(namesOf(await user.result("tools/list"))).toEqual(["anything"]);
  expect((await user.callTool("anything")).resultType).toBe("task");
  for (const capabilities of [{ tasks: {} }, { extensions: { "io.modelcontextprotocol/tasks": {} } }]) {
    const client = await LegacyWire.connect(url, { capabilities });
    expect(namesOf(await client.result("tools/list"))).toEqual(["anything"]);
  }
  const asking = await LegacyWire.connect(url);
  expect(namesOf(await asking.result("tools/list"))).toHaveLength(3);
  await asking.begin("anything");
  expect(namesOf(await asking.result("tools/list"))).toEqual(["anything"]);
  const plain = asking.open("tools/call", { name: "anything" });
  await asking.result("ping");
  open();
  expect(textOf((await plain.answer).message.result)).toBe("done");
});

test.skipIf(withoutRedis("sessions that several gateways serve"))(
  "what a client has declared at one gateway holds at all others on the store, and after a restart",
  async () => {
    const { url: store } = await redisForTest();
    const settings = { policy: SOON, store };
    const { url, server, gateway } = await story({}, settings);
    const other = await gatewayFor({ upstream: server.url, ...settings });
    const knowing = [{ tasks: {} }, { extensions: { "io.modelcontextprotocol/tasks": {} } }].map(
      (capabilities) => LegacyWire.connect(url, { capabilities }),
    );
    const plain = await LegacyWire.connect(url);
    for (const client of await Promise.all(knowing)) {
      expect(namesOf(await client.result("tools/list"))).toEqual(["anything"]);
      expect(namesOf(await client.at(other.url).result("tools/list"))).toEqual(["anything"]);
    }
    expect(namesOf(await plain.at(other.url).result("tools/list"))).toHaveLength(3);
    await gateway.close();
    const next = await gatewayFor({ upstream: server.url, ...settings });
    const [first] = await Promise.all(knowing);
    expect(namesOf(await first?.at(next.url).result("tools/list"))).toEqual(["anything"]);
    expect(namesOf(await plain.at(next.url).result("tools/list"))).toHaveLength(3);
  },
);

test("without the setting there is nothing of it", async () => {
  const { url, server } = await story({ "tools/call": (call) => call.json(textResult("the server's")) });
  for (const [, connect] of GENERATIONS) {
    const client = await connect(url);
    expect(namesOf(await client.list())).toEqual(["anything"]);
    expect(textOf(await client.call("taskgate_result", { task: "bcdf-ghjk-mnpq" }))).toBe("the server's");
  }
  expect(count(server, "tools/call")).toBe(GENERATIONS.length);
});

describe.each(GENERATIONS)("a client of %s", (_, connect) => {
  test("before a server with tools of these names gets the server's, and no fallback", async () => {
    const { opened, open } = gate();
    const tools = ["taskgate_result", "report"].map((name) => ({ name, inputSchema: { type: "object" } }));
    const script: Script = async (call) => {
      const { name } = call.message.params ?? {};
      if (name === "report") await opened;
      call.json(textResult(`the server's ${name}`));
    };
    const { url } = await story({ "tools/call": script }, { policy: SOON }, { tools });
    const client = await connect(url);
    expect(namesOf(await client.list())).toEqual(["taskgate_result", "report"]);
    expect(textOf(await client.call("taskgate_result", { task: "bcdf-ghjk-mnpq" }))).toBe(
      "the server's taskgate_result",
    );
    const report = client.call("report");
    await client.list();
    open();
    expect(textOf(await report)).toBe("the server's report");
  });

  test("with another prefix there is room for both", async () => {
    const tools = [{ name: "taskgate_result", inputSchema: { type: "object" } }];
    const policy = { fallback: { ...SOON.fallback, prefix: "later." } };
    const { url } = await story({}, { policy }, { tools });
    const client = await connect(url);
    expect(namesOf(await client.list())).toEqual(["taskgate_result", "later.result", "later.cancel"]);
  });
});

test("a word belongs to the caller where callers are told apart, in any session and of any generation", async () => {
  const { opened, open } = gate();
  const script: Script = async (call) => {
    await opened;
    call.json(textResult("Ada's"));
  };
  const { url, client } = await story({ "tools/call": script }, { policy: SOON, identify: byName });
  const ada = { "x-user": "ada" };
  const first = plainly(await LegacyWire.connect(url, { headers: ada }));
  const { args = {} } = nextOf(await first.call("t")) ?? {};
  const bob = plainly(await LegacyWire.connect(url, { headers: { "x-user": "bob" } }));
  const other = client({ capabilities: {}, headers: { "x-user": "bob" } });
  for (const result of [
    await bob.call("taskgate_result", args),
    await other.callTool("taskgate_cancel", args),
  ])
    expect([result.isError, textOf(result)]).toEqual([true, expect.stringMatching(/^There is no such task/)]);
  open();
  const second = plainly(await LegacyWire.connect(url, { headers: ada, version: "2025-06-18" }));
  expect(textOf(await follow(second, await second.call("taskgate_result", args)))).toBe("Ada's");
  const modern: ModernClient = client({ capabilities: {}, headers: ada });
  expect(textOf(await modern.callTool("taskgate_result", args))).toBe("Ada's");
});

test("where callers are not told apart, a word that nobody guesses is good in any session", async () => {
  const { opened, open } = gate();
  const script: Script = async (call) => {
    await opened;
    call.json(textResult("done"));
  };
  const { url, client } = await story({ "tools/call": script }, { policy: SOON });
  const first = plainly(await LegacyWire.connect(url));
  const { args = {} } = nextOf(await first.call("t")) ?? {};
  // 28 letters out of 28: 134 bits.
  const word = String(args.task);
  expect(word).toMatch(/^(?:[b-df-hj-km-np-tv-z2-9]{4}-){6}[b-df-hj-km-np-tv-z2-9]{4}$/);
  const second = plainly(await LegacyWire.connect(url, { version: "2025-06-18" }));
  for (const part of [word.slice(0, 14), `${word.slice(0, -1)}${word.endsWith("b") ? "c" : "b"}`]) {
    const other = await second.call("taskgate_result", { task: part });
    expect([other.isError, textOf(other)]).toEqual([true, expect.stringMatching(/^There is no such task/)]);
  }
  open();
  const written = { task: word.replaceAll("-", "").toUpperCase() };
  expect(textOf(await follow(second, await second.call("taskgate_result", written)))).toBe("done");
  expect(textOf(await client({ capabilities: {} }).callTool("taskgate_result", args))).toBe("done");
});

test.each(["", "?tenant=7"])(
  "a client at an address with the query %j reaches the server with it",
  async (query) => {
    const { opened, open } = gate();
    const script: Script = async (call) => {
      await opened;
      call.json(textResult("done"));
    };
    const { url, server } = await story({ "tools/call": script }, { policy: SOON });
    const client = plainly(await LegacyWire.connect(new URL(query, url)));
    const first = await client.call("t");
    open();
    expect(nextOf(first)).toBeDefined();
    expect(textOf(await follow(client, first))).toBe("done");
    expect((await server.arrival("tools/call")).request.url).toBe(`/mcp${query}`);
  },
);

test("a client without a session gets its result by the word alone", async () => {
  const { opened, open } = gate();
  const script: Script = async (call) => {
    await opened;
    call.json(textResult("done"));
  };
  const { url } = await story({ "tools/call": script }, { policy: SOON }, { stateless: true });
  const client = plainly(await LegacyWire.connect(url, { version: "2025-06-18" }));
  const first = await client.call("t");
  open();
  expect(textOf(await follow(client, first))).toBe("done");
});

test("a cancellation of a call that waits reaches the server, a hang-up only closes its stream", async () => {
  const { url, server } = await story({ "tools/call": silent }, { policy: PATIENT });
  const client = await LegacyWire.connect(url, { version: "2025-06-18" });
  client.open("tools/call", { name: "t" }, { id: "mine" });
  const call = await server.arrival("tools/call");
  await client.notify("notifications/cancelled", { requestId: "mine" });
  await expectCancelled(server, call);
  const second = client.open("tools/call", { name: "t" });
  const other = await server.arrival("tools/call", 2);
  second.leave();
  await other.closed;
  expect(count(server, "notifications/cancelled")).toBe(1);
});

test("refusals of the server reach the client as the server put them", async () => {
  const { url, server } = await story(
    {
      "tools/call": (call) =>
        call.message.params?.name === "missing"
          ? call.error(-32602, "Unknown tool: missing", { data: { hint: 1 } })
          : call.reply(401, "Log in", { "www-authenticate": 'Bearer realm="r"' }),
    },
    { policy: PATIENT },
  );
  const client = await LegacyWire.connect(url, { version: "2025-06-18" });
  expect(await client.error("tools/call", { name: "missing" })).toEqual({
    code: -32602,
    message: "Unknown tool: missing",
    data: { hint: 1 },
  });
  const { status, headers } = await client.send("tools/call", { name: "secret" });
  expect([status, headers["www-authenticate"]]).toEqual([401, 'Bearer realm="r"']);
  server.sessions.clear();
  expect((await client.send("tools/call", { name: "any" })).status).toBe(404);
});

test("progress and messages come under the client's own token, before and after", async () => {
  const { opened, open } = gate();
  const script: Script = async (call) => {
    const stream = call.sse();
    const { progressToken } = (call.message.params?._meta ?? {}) as JsonObject;
    const tell = (progress: number) =>
      stream.event({ jsonrpc: "2.0", method: "notifications/progress", params: { progressToken, progress } });
    tell(1);
    stream.event({
      jsonrpc: "2.0",
      method: "notifications/message",
      params: { level: "info", data: "begun" },
    });
    await opened;
    tell(2);
    stream.event(call.answer(textResult("done")));
    stream.end();
  };
  const policy = { fallback: { ...SOON.fallback, afterMs: 1_000 } };
  const { url } = await story({ "tools/call": script }, { policy });
  const client = await LegacyWire.connect(url, { version: "2025-06-18" });
  const call = client.open("tools/call", { name: "t", _meta: { progressToken: "a" } });
  const { message } = await call.answer;
  expect(call.messages.filter(({ method }) => method !== undefined).map(({ params }) => params)).toEqual([
    { progressToken: "a", progress: 1 },
    { level: "info", data: "begun" },
  ]);
  const { args = {} } = nextOf(message.result) ?? {};
  expect(textOf(message.result)).toContain("(it reports: 1)");
  const waiting = client.open("tools/call", {
    name: "taskgate_result",
    arguments: args,
    _meta: { progressToken: "b" },
  });
  await client.result("ping");
  open();
  expect(textOf((await waiting.answer).message.result)).toBe("done");
  const heard = waiting.messages.filter(({ method }) => method === "notifications/progress");
  expect(heard.map(({ params }) => params)).toEqual([{ progressToken: "b", progress: 2 }]);
});

test("a server of 2026-07-28 is called by the gateway, and its other requests pass", async () => {
  const { opened, open } = gate();
  const tools = [{ name: "report", inputSchema: { type: "object" }, outputSchema: { type: "object" } }];
  for (const hasTasks of [false, true]) {
    const script: Script = async (call) => {
      await opened;
      call.json(complete(textResult("done")));
    };
    const { client } = await modernStory({ "tools/call": script }, { policy: SOON }, { tools, hasTasks });
    const plain = client({ capabilities: {} });
    const listed = await plain.result("tools/list");
    expect(namesOf(listed)).toEqual(["report", "taskgate_result", "taskgate_cancel"]);
    expect(listed.tools[0]).not.toHaveProperty("outputSchema");
    const first = await plain.callTool("report");
    open();
    const asked = { list: plain.result.bind(plain, "tools/list"), call: plain.callTool.bind(plain) };
    expect(textOf(await follow(asked, first))).toBe("done");
  }
});
