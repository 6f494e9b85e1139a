/** What clients see of reloads while they work, and what is left of the servers that went. */

import { randomUUID } from "node:crypto";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { expect, onTestFinished, test } from "vitest";
import { fileWith } from "../cli/process.ts";
import { LegacyWire } from "../support/legacy-wire.ts";
import { answering, startSseServer } from "../support/sse-server.ts";
import { processesWith, remaining } from "../support/stdio-servers/processes.ts";
import { textOf, textResult } from "../support/story.ts";
import { named, reloading, until } from "./reloading.ts";

const STDIO_SERVER = new URL("../support/stdio-servers/server.mjs", import.meta.url).href;
const RELOADS = 50;
/** How many reloads leave the server over stdio as it is: a process takes a while to start. */
const PER_START = 5;
const WORKERS = 2;
/** The revision of the server over stdio. */
const OLDER = { version: "2025-06-18" } as const;

/** A server over stdio that says with which arguments it was started, and by which process it is served. */
function scriptOf(): Promise<string> {
  return fileWith(
    "server.mjs",
    `import { serve } from "${STDIO_SERVER}";
     serve({ any: () => [...process.argv.slice(2), process.pid].join(" ") });`,
  );
}

test(`${RELOADS} reloads in a row fail no request, and leave nothing of the servers that they replaced`, async () => {
  const script = await scriptOf();
  const mark = randomUUID();
  const [steady, moved] = await Promise.all([named("steady"), named("moved")]);
  const started = (n: number) => Math.floor(n / PER_START);
  const generation = (n: number) => ({
    reload: "off",
    servers: {
      steady: steady.settings,
      moved: { upstream: { ...moved.settings.upstream, headers: { "X-Generation": String(n) } } },
      started: {
        upstream: { command: process.execPath, args: [script, mark, String(started(n))] },
        tasks: { mode: "never" },
      },
      paired: { upstream: { command: process.execPath, args: [script, mark, "paired"] } },
      ...(n % 2 === 0 ? { now: steady.settings } : {}),
      ruled: { ...steady.settings, tasks: { mode: n % 2 === 0 ? "auto" : "never" } },
    },
  });
  const { user, urlOf, ask, write, reload } = await reloading(generation(0));
  const wire = await LegacyWire.connect(urlOf("paired"), OLDER);
  const [, , pairedPid] = String(textOf(await wire.result("tools/call", { name: "any" }))).split(" ");
  textOf(await user("steady").callTool("any"));
  const sessions = () => [...steady.server.sessions.keys()];

  const pids = new Map<string, Set<number>>();
  const failures: unknown[] = [];
  let isOver = false;
  let answered = 0;
  const work = async (step: () => Promise<unknown>) => {
    while (!isOver) {
      await step().catch((error: unknown) => failures.push(error));
      answered += 1;
    }
  };
  const workers = Array.from({ length: WORKERS }, () => [
    work(() => user("steady").callTool("any")),
    work(() => user("ruled").callTool("any")),
    work(() => user("moved").callTool("any")),
    work(() => wire.result("tools/call", { name: "any" })),
    work(async () => {
      const said = String(textOf(await user("started").callTool("any")));
      const [, number = "", pid] = said.split(" ");
      pids.set(number, (pids.get(number) ?? new Set()).add(Number(pid)));
    }),
  ]).flat();
  for (let n = 1; n <= RELOADS; n += 1) {
    await write(generation(n));
    // Two who ask at once get one reload, or two of which the second finds nothing new.
    const [first, second] = await Promise.all([reload(), reload()]);
    expect([first.status, second.status, first.body.outcome]).toEqual([200, 200, "applied"]);
  }
  const before = answered;
  await until(async () => answered > before + 100 || undefined, "the workers to go on");
  isOver = true;
  await Promise.all(workers);
  expect(failures).toEqual([]);

  // The newest alone is left.
  const last = String(started(RELOADS));
  const old = [...pids].flatMap(([number, all]) => (number === last ? [] : [...all]));
  expect(old.length).toBeGreaterThan(0);
  await until(async () => (await remaining(old)).length === 0 || undefined, "the old processes to end");
  const { servers } = (await ask("/api/servers")).body;
  const open = Object.fromEntries(
    servers.map(({ name, sessions: count }: { name: string; sessions: number }) => [name, count]),
  );
  await moved.server.until(() => moved.server.sessions.size === open.moved, "the old sessions to end");
  const running = async () => {
    const left = await processesWith(mark);
    return left.length === open.started + open.paired || undefined;
  };
  await until(running, "no process but those of open sessions");
  expect(String(textOf(await wire.result("tools/call", { name: "any" }))).split(" ")[2]).toBe(pairedPid);
  expect(sessions().length).toBeGreaterThan(0);
});

test("a client's own session stays with the server as it was, until the client ends it", async () => {
  const script = await scriptOf();
  const mark = randomUUID();
  const started = (name: string) => ({
    reload: "off",
    servers: { it: { upstream: { command: process.execPath, args: [script, mark, name] } } },
  });
  const { user, urlOf, write, reload } = await reloading(started("before"));
  const wire = await LegacyWire.connect(urlOf("it"), OLDER);
  const said = async () => String(textOf(await wire.result("tools/call", { name: "any" })));
  const one = await said();
  expect(one).toContain("before");
  await write(started("after"));
  expect((await reload()).body).toMatchObject({ outcome: "applied", replaced: ["it"] });
  expect(await said()).toBe(one);
  const two = String(textOf(await user("it").callTool("any")));
  expect(two).toContain("after");

  await write(started("last"));
  expect((await reload()).body).toMatchObject({ outcome: "applied", replaced: ["it"] });
  const ended = async (saying: string) => {
    const pid = Number(saying.split(" ")[2]);
    return (await remaining([pid])).length === 0 || undefined;
  };
  await until(() => ended(two), "the process of a server that nobody uses to end");
  expect(await said()).toBe(one);
  await wire.end();
  await until(() => ended(one), "its process to end");
  const again = await LegacyWire.connect(urlOf("it"), OLDER);
  expect(textOf(await again.result("tools/call", { name: "any" }))).toContain("last");
});

test("a client of an older revision hears in its session that the rules have changed", async () => {
  const capabilities = { tools: { listChanged: true } };
  const serverInfo = { name: "old", version: "1" };
  const server = await startSseServer({
    initialize: answering({ protocolVersion: "2025-11-25", capabilities, serverInfo }),
    "tools/list": answering({ tools: [{ name: "any", inputSchema: { type: "object" } }] }),
  });
  onTestFinished(server.close);
  const ruled = (mode: string) => ({
    reload: "off",
    servers: { it: { upstream: { url: server.url.href, transport: "sse" }, tasks: { mode } } },
  });
  const { urlOf, write, reload } = await reloading(ruled("auto"));
  const wire = await LegacyWire.connect(urlOf("it"));
  const support = async () => (await wire.result("tools/list")).tools[0].execution.taskSupport;
  expect(await support()).toBe("optional");
  const stream = await wire.listen();
  await write(ruled("required"));
  expect((await reload()).body).toMatchObject({ outcome: "applied", ruled: ["it"] });
  await stream.heard("notifications/tools/list_changed");
  expect(await support()).toBe("required");
});

test("a client of HTTP+SSE goes on posting for its stream, with the headers that there are now", async () => {
  const server = await startSseServer({ "tools/call": answering(textResult("done")) });
  onTestFinished(server.close);
  const secret = (text: string) => ({
    reload: "off",
    servers: { it: { upstream: { url: server.url.href, transport: "sse", headers: { "X-Secret": text } } } },
  });
  const { urlOf, write, reload } = await reloading(secret("old"));
  const transport = new SSEClientTransport(urlOf("it"));
  const client = new Client({ name: "old", version: "0" });
  onTestFinished(() => client.close());
  await client.connect(transport);
  await write(secret("new"));
  expect((await reload()).body).toMatchObject({ outcome: "applied", replaced: ["it"] });
  expect(await client.callTool({ name: "any" })).toEqual(textResult("done"));
  const call = server.received.find(({ method }) => method === "tools/call");
  expect(call?.headers["x-secret"]).toBe("new");
});

test("a client of 2025-11-25 reads its tasks on a removed server, in its session", async () => {
  const [stays, goes] = await Promise.all([named("stays"), named("goes")]);
  const { urlOf, write, reload } = await reloading({
    reload: "off",
    servers: { stays: stays.settings, goes: goes.settings },
  });
  const wire = await LegacyWire.connect(urlOf("goes"));
  const { task } = await wire.result("tools/call", { name: "slow", task: {} });
  await write({ reload: "off", servers: { stays: stays.settings } });
  expect((await reload()).body).toMatchObject({ removed: ["goes"] });
  expect(await wire.send("tools/call", { name: "any" })).toMatchObject({ status: 410 });
  const result = wire.result("tasks/result", { taskId: task.taskId });
  goes.finish();
  expect(textOf(await result)).toBe("goes");
  // The client's own session is the client's to end: the gateway passed its messages on as they are.
  await goes.server.until(() => goes.server.sessions.size === 1, "the gateway's own sessions to end");
  expect(await wire.result("tasks/get", { taskId: task.taskId })).toMatchObject({ status: "completed" });
  expect(await wire.send("tools/list")).toMatchObject({ status: 410 });
});
