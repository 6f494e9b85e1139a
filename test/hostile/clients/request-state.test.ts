/** A `requestState` is good for the request that it was made for, and for nothing else (2026-07-28, MRTR §Server Requirements). */

import { expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../../support/gateway.ts";
import { byName } from "../../support/legacy-wire.ts";
import type { Json, ModernClient } from "../../support/modern-client.ts";
import { startScriptedServer } from "../../support/scripted-server.ts";
import { accept, asksOnce, count } from "../../support/story.ts";

const CALL = { name: "ask", arguments: { n: 1 } };
const CAPABILITIES = { elicitation: { form: {} }, extensions: { "io.modelcontextprotocol/tasks": {} } };

interface Asked {
  readonly ada: ModernClient;
  readonly bob: ModernClient;
  readonly state: string;
  /** How often the server was answered. */
  readonly answers: () => number;
}

/** A question that Ada has been asked. */
async function asking(): Promise<Asked> {
  const server = await startScriptedServer({ "tools/call": asksOnce, "prompts/get": asksOnce });
  onTestFinished(server.close);
  const { client } = await gatewayFor({
    upstream: server.url,
    identify: byName,
    policy: { waitForMs: 60_000 },
  });
  const as = (name: string) => client({ capabilities: CAPABILITIES, headers: { "x-user": name } });
  const ada = as("ada");
  const { requestState: state } = await ada.result("tools/call", CALL);
  return { ada, bob: as("bob"), state, answers: () => count(server, "answer") };
}

type Attempt = (asked: Asked) => Promise<Json>;
const ANSWER = { inputResponses: { name: accept({ name: "Mallory" }) } };

function again(user: ModernClient, state: unknown, change: object = {}): Promise<Json> {
  return user.send("tools/call", { ...CALL, requestState: state, ...ANSWER, ...change });
}

const ATTEMPTS: readonly [what: string, attempt: Attempt][] = [
  ["another caller", ({ bob, state }) => again(bob, state)],
  ["other arguments", ({ ada, state }) => again(ada, state, { arguments: { n: 2 } })],
  ["more arguments", ({ ada, state }) => again(ada, state, { arguments: { n: 1, m: 1 } })],
  ["an argument of another type", ({ ada, state }) => again(ada, state, { arguments: { n: "1" } })],
  ["another tool", ({ ada, state }) => again(ada, state, { name: "other" })],
  ["parameters that are new", ({ ada, state }) => again(ada, state, { more: 1 })],
  [
    "another method",
    ({ ada, state }) => ada.send("prompts/get", { ...CALL, requestState: state, ...ANSWER }),
  ],
  ["a state cut short", ({ ada, state }) => again(ada, state.slice(0, -1))],
  ["a state with more behind it", ({ ada, state }) => again(ada, `${state}A`)],
  ["a line break behind it", ({ ada, state }) => again(ada, `${state}\n`)],
  ["a signature changed", ({ ada, state }) => again(ada, flipped(state, state.length - 2))],
  ["a round changed", ({ ada, state }) => again(ada, flipped(state, state.lastIndexOf(".") - 1))],
  ["a task changed", ({ ada, state }) => again(ada, flipped(state, state.indexOf(".") + 1))],
  ["no signature", ({ ada, state }) => again(ada, state.slice(0, state.lastIndexOf(".") + 1))],
  ["no mark", ({ ada, state }) => again(ada, state.replace("taskgate.", ""))],
  ["the mark alone", ({ ada }) => again(ada, "taskgate.")],
  ["nothing", ({ ada }) => again(ada, "")],
  ["a number", ({ ada }) => again(ada, 1)],
  ["null", ({ ada }) => again(ada, null)],
  ["a list of it", ({ ada, state }) => again(ada, [state])],
  ["a megabyte", ({ ada, state }) => again(ada, state + "x".repeat(1_000_000))],
  [
    "a key of the store's",
    ({ ada, state }) => again(ada, state.replace(/^taskgate\.[\w-]+/, "taskgate.end:x")),
  ],
];

test("a state for anything but its own request is refused alike, and the question is not answered", async () => {
  const asked = await asking();
  for (const [what, attempt] of ATTEMPTS) {
    const { status, message } = await attempt(asked);
    expect([status, message.error], what).toEqual([
      200,
      { code: -32602, message: "Invalid params: requestState is not valid for this request" },
    ]);
    expect(asked.answers(), what).toBe(0);
  }
  // It is as good as before for whom it was made; twice at the same time as well.
  const answers = await Promise.all([again(asked.ada, asked.state), again(asked.ada, asked.state)]);
  for (const { message } of answers) expect(message.result).toMatchObject({ resultType: "complete" });
  expect(asked.answers()).toBe(1);
});

test("the id in a state is no task to ask about for anybody else, and nor is its question", async () => {
  const asked = await asking();
  const { bob, state } = asked;
  const [, taskId] = state.split(".");
  const foreign = await bob.send("tasks/get", { taskId });
  const unknown = await bob.send("tasks/get", { taskId: `${taskId}x` });
  expect(foreign.message.error).toEqual(unknown.message.error);
  const update = await bob.send("tasks/update", { taskId, ...ANSWER });
  expect(update.message.error.code).toBe(-32602);
  expect(asked.answers()).toBe(0);
});

/** The same, with another character at one place. */
function flipped(text: string, at: number): string {
  return `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`;
}
