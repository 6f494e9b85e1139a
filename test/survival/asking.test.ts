/**
 * A server of 2026-07-28 that waits for answers while its gateway dies: nothing runs there, and the next gateway asks the same and sends the
 * next round, and no round again that has been sent.
 */

import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { startGatewayProcess } from "../support/gateway-process.ts";
import { LegacyWire } from "../support/legacy-wire.ts";
import { type Json, ModernClient } from "../support/modern-client.ts";
import { elicits, modernScripts, STATELESS, said, wants } from "../support/modern-server.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { type Script, startScriptedServer } from "../support/scripted-server.ts";
import { accept, EVERYTHING, textOf } from "../support/story.ts";

const LOST = expect.stringContaining("whether the work was done is not known");

/** Asks twice under one name, and then runs for ever if it was told to. */
function asksTwice(call: Exchange): void {
  const { requestState, inputResponses, arguments: given }: Json = call.message.params ?? {};
  const answer = inputResponses?.name?.content?.name;
  if (requestState === undefined) return call.json(wants({ name: elicits("Who?") }, "1"));
  if (requestState === "1") return call.json(wants({ name: elicits("Really?") }, `2${answer}`));
  if (given?.hangs !== true) call.json(said(`${requestState.slice(1)} ${answer}`));
}

async function stage(
  script: Script = asksTwice,
  encryption: { readonly encryptionKeys?: readonly string[] } = {},
  others: Readonly<Record<string, Script>> = {},
) {
  const scripts = { ...modernScripts(), ...others, "tools/call": script };
  const server = await startScriptedServer(scripts, STATELESS);
  onTestFinished(server.close);
  const folder = await mkdtemp(join(tmpdir(), "taskgate-asking-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "taskgate.json");
  const config = {
    listen: { port: 0 },
    store: { url: `level:${join(folder, "data")}`, ...encryption },
    servers: { t: { upstream: { url: server.url.href }, tasks: { mode: "always" } } },
  };
  await writeFile(file, JSON.stringify(config));
  const start = async () => {
    const gateway = await startGatewayProcess(["--config", file]);
    return { gateway, client: new ModernClient(gateway.url, { capabilities: EVERYTHING }) };
  };
  let now = await start();
  const asked = async (taskId: string, message: string): Promise<Json> => {
    const isAsking = (task: { inputRequests?: object }) =>
      JSON.stringify(task.inputRequests ?? {}).includes(message);
    return (await now.client.taskWhen(taskId, isAsking)).inputRequests;
  };
  return {
    server,
    get client() {
      return now.client;
    },
    get url() {
      return now.gateway.url;
    },
    restart: async () => {
      await now.gateway.kill("SIGKILL");
      now = await start();
    },
    /** What the task asks, once it does. */
    asked,
    answer: async (taskId: string, message: string, name: string) => {
      const keys = Object.entries(await asked(taskId, message)).filter(([, request]) =>
        JSON.stringify(request).includes(message),
      );
      const inputResponses = Object.fromEntries(keys.map(([key]) => [key, accept({ name })]));
      await now.client.result("tasks/update", { taskId, inputResponses });
    },
    /** The state and the answers of each round that reached the server. */
    rounds: () =>
      server.received
        .filter(({ message }) => message.method === "tools/call")
        .map(({ message: { params } }) => [params?.requestState, params?.inputResponses]),
  };
}

test.for([
  ["plain", {}],
  ["encrypted", { encryptionKeys: [randomBytes(32).toString("hex")] }],
] as const)("a call goes on where its server asked, in whichever round: %s", async ([, encryption]) => {
  const told = await stage(asksTwice, encryption);
  const { taskId } = await told.client.callTool("t");
  const first = await told.asked(taskId, "Who?");
  await told.restart();
  expect(await told.asked(taskId, "Who?")).toEqual(first);
  await told.answer(taskId, "Who?", "Ada");
  const second = await told.asked(taskId, "Really?");
  expect(Object.keys(second)).not.toEqual(Object.keys(first));
  await told.restart();
  expect(await told.asked(taskId, "Really?")).toEqual(second);
  await told.answer(taskId, "Really?", "yes");

  expect(textOf((await told.client.settled(taskId)).result)).toBe("Ada yes");
  expect(told.rounds()).toEqual([
    [undefined, undefined],
    ["1", { name: accept({ name: "Ada" }) }],
    ["2Ada", { name: accept({ name: "yes" }) }],
  ]);
});

test("a call of a client of 2025-11-25 goes on after a restart, and asks in another session of the client", async () => {
  const told = await stage();
  const { taskId } = await (await LegacyWire.connect(told.url)).begin("t");
  await told.asked(taskId, "Who?");
  await told.restart();
  const client = await LegacyWire.connect(told.url);
  const waiting = client.open("tasks/result", { taskId });
  for (const name of ["Ada", "yes"]) {
    const { id } = await waiting.heard("elicitation/create", name === "Ada" ? 1 : 2);
    await client.respond(id, { result: accept({ name }) });
  }
  expect(textOf((await waiting.answer).message.result)).toBe("Ada yes");
  expect(told.rounds().map(([state]) => state)).toEqual([undefined, "1", "2Ada"]);
});

test("a call whose server has got the answers is not sent them again, and is lost", async () => {
  const told = await stage();
  const { taskId } = await told.client.callTool("t", { hangs: true });
  await told.answer(taskId, "Who?", "Ada");
  await told.answer(taskId, "Really?", "yes");
  await told.server.until(() => told.rounds().length === 3, "the last round");
  await told.restart();

  const { status, error } = await told.client.settled(taskId);
  expect([status, error.message]).toEqual(["failed", LOST]);
  expect(told.rounds()).toHaveLength(3);
});

test("what was answered before the gateway died is not asked again, and is sent with the rest", async () => {
  const told = await stage((call) => {
    const { inputResponses }: Json = call.message.params ?? {};
    // Without a state: all that it knows in the next round are the answers.
    if (inputResponses === undefined) return call.json(wants({ one: elicits("One?"), two: elicits("Two?") }));
    call.json(said(`${inputResponses.one.content.name} ${inputResponses.two.content.name}`));
  });
  const { taskId } = await told.client.callTool("t");
  const both = await told.asked(taskId, "One?");
  await told.answer(taskId, "One?", "1");
  await told.restart();
  const { one: _, ...rest } = both;
  expect(await told.asked(taskId, "Two?")).toEqual(rest);
  await told.answer(taskId, "Two?", "2");

  expect(textOf((await told.client.settled(taskId)).result)).toBe("1 2");
  expect(told.rounds()).toEqual([
    [undefined, undefined],
    [undefined, { one: accept({ name: "1" }), two: accept({ name: "2" }) }],
  ]);
});

test("a server that is away when the next gateway starts need not be there before the answers are", async () => {
  let isAway = false;
  const { "server/discover": discover = () => {} } = modernScripts();
  const told = await stage(
    asksTwice,
    {},
    {
      "server/discover": (call) => (isAway ? call.reply(503, "") : discover(call)),
    },
  );
  const { taskId } = await told.client.callTool("t");
  const first = await told.asked(taskId, "Who?");
  isAway = true;
  await told.restart();
  expect(await told.asked(taskId, "Who?")).toEqual(first);
  isAway = false;
  // A server that was not there is asked again after a second.
  await vi.waitFor(() => told.client.result("tools/list", {}), { timeout: 60_000, interval: 100 });
  await told.answer(taskId, "Who?", "Ada");
  await told.answer(taskId, "Really?", "yes");
  expect(textOf((await told.client.settled(taskId)).result)).toBe("Ada yes");
});

test("a task that waits for answers can be cancelled after its gateway died, and its server hears nothing of it", async () => {
  const told = await stage();
  const { taskId } = await told.client.callTool("t");
  await told.asked(taskId, "Who?");
  await told.restart();
  await told.client.result("tasks/cancel", { taskId });
  expect((await told.client.settled(taskId)).status).toBe("cancelled");
  expect(told.rounds()).toHaveLength(1);
});
