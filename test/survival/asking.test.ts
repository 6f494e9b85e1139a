/** A server of 2026-07-28 that waits for answers while its gateway dies: nothing runs there, and the next gateway goes on. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startGatewayProcess } from "../support/gateway-process.ts";
import { type Json, ModernClient } from "../support/modern-client.ts";
import { elicits, modernScripts, STATELESS, said, wants } from "../support/modern-server.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { type Script, startScriptedServer } from "../support/scripted-server.ts";
import { accept, EVERYTHING, gate, textOf } from "../support/story.ts";

/** Asks twice under one name, and then runs for ever if it was told to. */
function asksTwice(call: Exchange): void {
  const { requestState, inputResponses, arguments: given }: Json = call.message.params ?? {};
  const answer = (Object.values(inputResponses ?? {}) as Json[])[0]?.content?.name;
  if (requestState === undefined) return call.json(wants({ name: elicits("Who?") }, "1"));
  if (requestState === "1")
    return call.json(
      answer === undefined
        ? wants({ name: elicits("Who?") }, "1")
        : wants({ name: elicits("Really?") }, `2${answer}`),
    );
  if (answer === undefined) return call.json(wants({ name: elicits("Really?") }, requestState));
  if (given?.hangs !== true) call.json(said(`${requestState.slice(1)} ${answer}`));
}

async function stage(script: Script = asksTwice) {
  const server = await startScriptedServer({ ...modernScripts(), "tools/call": script }, STATELESS);
  onTestFinished(server.close);
  const folder = await mkdtemp(join(tmpdir(), "taskgate-asking-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const store = `level:${join(folder, "data")}`;
  const start = async () => {
    const args = ["--upstream", server.url.href, "--port", "0", "--mode", "always", "--store", store];
    const gateway = await startGatewayProcess(args);
    return { gateway, client: new ModernClient(gateway.url, { capabilities: EVERYTHING }) };
  };
  let now = await start();
  return {
    server,
    get client() {
      return now.client;
    },
    restart: async () => {
      await now.gateway.kill("SIGKILL");
      now = await start();
    },
    /** What the task asks, once it does. */
    asked: async (taskId: string, message: string) => {
      const isAsking = (task: { inputRequests?: object }) =>
        JSON.stringify(task.inputRequests ?? {}).includes(message);
      const { inputRequests } = await now.client.taskWhen(taskId, isAsking);
      return Object.keys(inputRequests);
    },
    answer: (taskId: string, key: string | undefined, name: string) =>
      now.client.result("tasks/update", { taskId, inputResponses: { [key ?? ""]: accept({ name }) } }),
    /** The state and the answers of each call that reached the server. */
    rounds: () =>
      server.received
        .filter(({ message }) => message.method === "tools/call")
        .map(({ message: { params } }) => [params?.requestState, params?.inputResponses !== undefined]),
  };
}

test("a call goes on where it asked, in whichever round, and each answer belongs to its own question", async () => {
  const told = await stage();
  const { taskId } = await told.client.callTool("t");
  expect(await told.asked(taskId, "Who?")).toEqual(["name"]);
  await told.restart();
  const [who] = await told.asked(taskId, "Who?");
  expect(who).toBe("name");
  await told.answer(taskId, who, "Ada");
  const [really] = await told.asked(taskId, "Really?");
  expect(really).not.toBe("name");
  await told.restart();
  expect(await told.asked(taskId, "Really?")).toEqual([really]);
  await told.answer(taskId, really, "yes");

  expect(textOf((await told.client.settled(taskId)).result)).toBe("Ada yes");
  expect(told.rounds()).toEqual([
    [undefined, false],
    ["1", false],
    ["1", true],
    ["2Ada", false],
    ["2Ada", true],
  ]);
});

test("a call that has been sent its answers is not sent again, and is lost", async () => {
  const told = await stage();
  const { taskId } = await told.client.callTool("t", { hangs: true });
  await told.answer(taskId, (await told.asked(taskId, "Who?"))[0], "Ada");
  await told.answer(taskId, (await told.asked(taskId, "Really?"))[0], "yes");
  await told.server.until(() => told.rounds().length === 3, "the last round");
  await told.restart();

  const { status, error } = await told.client.settled(taskId);
  expect([status, error.message]).toEqual([
    "failed",
    expect.stringContaining("whether the work was done is not known"),
  ]);
  expect(told.rounds()).toHaveLength(3);
});

test("an answer that comes before the server has asked again is not asked for twice", async () => {
  const again = gate();
  const told = await stage(async (call) => {
    const { requestState, inputResponses }: Json = call.message.params ?? {};
    if (requestState === "1" && inputResponses === undefined) await again.opened;
    asksTwice(call);
  });
  const { taskId } = await told.client.callTool("t");
  await told.asked(taskId, "Who?");
  await told.restart();
  const [who] = await told.asked(taskId, "Who?");
  await told.server.until(() => told.rounds().length === 2, "the request to ask again");
  await told.answer(taskId, who, "Ada");
  again.open();
  await told.answer(taskId, (await told.asked(taskId, "Really?"))[0], "yes");
  expect(textOf((await told.client.settled(taskId)).result)).toBe("Ada yes");
});
