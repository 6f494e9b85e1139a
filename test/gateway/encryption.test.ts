/** What a gateway leaves on the disk of a task with secrets in every part. */

import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { openStore } from "../../src/store/open.ts";
import { directory } from "../store/places.ts";
import { configFor } from "../support/gateway.ts";
import { ModernClient } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { accept, asksOnce, EVERYTHING } from "../support/story.ts";

const ARGUMENT = "marked-argument-5c1e";
const ANSWER = "marked-answer-77ab";
const CREDENTIAL = "marked-credential-09d4";
const QUESTION = "Who are you?";

const SECRETS = [ARGUMENT, ANSWER, CREDENTIAL, QUESTION];

test("nothing that a task is about can be read on the disk when there is a key", async () => {
  const keys = [createSecretKey(randomBytes(32))];
  const { files, path, queued } = await run(keys, ["authorization"]);
  expect(found(files, SECRETS)).toEqual([]);

  const store = await openStore(`level:${path}`, { encryptionKeys: keys });
  onTestFinished(() => store.close());
  expect(JSON.parse(JSON.stringify(await store.storedCall(queued)))).toMatchObject({
    params: { arguments: { say: ARGUMENT } },
    headers: { authorization: `Bearer ${CREDENTIAL}` },
  });
});

test.each([
  { forwarded: [], expected: [ARGUMENT, ANSWER, QUESTION] },
  { forwarded: ["authorization"], expected: [ANSWER, QUESTION] },
])("without a key it can, but never a caller's credentials: $forwarded", async ({ forwarded, expected }) => {
  const { files } = await run(undefined, forwarded);
  expect(found(files, SECRETS)).toEqual(expected);
});

test("a gateway with another key does not start, and says what is wrong", async () => {
  const [right, wrong] = [createSecretKey(randomBytes(32)), createSecretKey(randomBytes(32))];
  const { path, task, upstream } = await run([right], ["authorization"]);

  await expect(started(path, [wrong], upstream)).rejects.toThrow(
    `store level:${path}: encryptionKeys: none of the keys opens what is stored there`,
  );

  const { user } = await started(path, [wrong, right], upstream);
  expect(await user.task(task.taskId)).toEqual(task);
});

/** Two calls, each asked something, of which the second has to wait for its turn; and two more that the gateway leaves behind. */
async function run(keys: readonly KeyObject[] | undefined, forwardHeaders: readonly string[]) {
  const server = await startScriptedServer({ "tools/call": asksOnce });
  onTestFinished(server.close);
  const path = await directory();
  const { user, gateway } = await started(path, keys, server.url, forwardHeaders);
  const first = await user.callTool("t", { say: ARGUMENT });
  const second = await user.callTool("t", { say: ARGUMENT });
  const answered = async (taskId: string) => {
    const { inputRequests } = await user.taskWhen(taskId, ({ status }) => status === "input_required");
    const responses = Object.keys(inputRequests).map((key) => [key, accept({ name: ANSWER })]);
    await user.result("tasks/update", { taskId, inputResponses: Object.fromEntries(responses) });
    return user.settled(taskId);
  };
  const task = await answered(first.taskId);
  expect(await answered(second.taskId)).toMatchObject({ status: "completed" });
  expect(JSON.stringify(task.result)).toContain(ANSWER);
  await user.callTool("t", { say: ARGUMENT });
  const left = await user.callTool("t", { say: ARGUMENT });
  await gateway.close();
  const names = await readdir(path);
  const files = await Promise.all(names.map((name) => readFile(join(path, name), { encoding: "latin1" })));
  expect(files.some((text) => text.includes(task.taskId))).toBe(true);
  return { path, task, queued: left.taskId, files, upstream: server.url };
}

async function started(
  path: string,
  encryptionKeys: readonly KeyObject[] | undefined,
  upstream: URL,
  forwardHeaders: readonly string[] = ["authorization"],
) {
  const config = configFor({
    upstream,
    store: `level:${path}`,
    policy: { mode: "always" },
    forwardHeaders,
    server: { maxConcurrent: 1 },
  });
  const sealed = encryptionKeys === undefined ? {} : { encryptionKeys };
  const gateway = await startGateway(
    { ...config, store: { ...config.store, ...sealed } },
    { log: createLog("silent") },
  );
  onTestFinished(() => gateway.close());
  const headers = { authorization: `Bearer ${CREDENTIAL}` };
  const user = new ModernClient(new URL(gateway.routes[0]?.url ?? ""), { capabilities: EVERYTHING, headers });
  return { gateway, user };
}

function found(files: readonly string[], secrets: readonly string[]): readonly string[] {
  return secrets.filter((secret) => files.some((text) => text.includes(secret)));
}
