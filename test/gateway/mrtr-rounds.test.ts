import { expect, test } from "vitest";
import { type Json, type ModernClient, read } from "../support/modern-client.ts";
import type { Script } from "../support/scripted-server.ts";
import {
  accept,
  asksOnce,
  count,
  expectCancelled,
  form,
  gate,
  INPUT,
  story,
  textOf,
  textResult,
} from "../support/story.ts";

const CALL = { name: "ask", arguments: { n: 1 } } as const;
/** What comes at once is not to become a task, however busy the machine. */
const PATIENT = { policy: { waitForMs: 60_000 } };
/** Wide enough for the question to come within the window, which is waited for in the end. */
const BECOMES_TASK = { policy: { waitForMs: 8_000 } };

test("answers that were left out are asked for again, under the same key", async () => {
  const { user, server } = await story({ "tools/call": asksOnce }, PATIENT);
  const first = await user.result("tools/call", CALL);
  const again = await user.result("tools/call", { ...CALL, requestState: first.requestState });
  expect(again.inputRequests).toEqual(first.inputRequests);

  const { requestState } = again;
  const inputResponses = { name: accept(), stranger: accept() };
  expect(await user.result("tools/call", { ...CALL, requestState, inputResponses })).toMatchObject({
    resultType: "complete",
  });
  expect(count(server, "tools/call")).toBe(1);
});

const FOREIGN: Record<string, (state: string) => Json> = {
  "of another request": (requestState) => ({ ...CALL, arguments: { n: 2 }, requestState }),
  "of another tool": (requestState) => ({ ...CALL, name: "other", requestState }),
  "that was tampered with": (requestState) => ({
    ...CALL,
    requestState: `${requestState.slice(0, -2)}${requestState.endsWith("A") ? "BB" : "AA"}`,
  }),
  "that is nonsense": () => ({ ...CALL, requestState: "nonsense" }),
  "that is no text": () => ({ ...CALL, requestState: 7 }),
};

test.each(Object.entries(FOREIGN))("a requestState %s is refused, and nothing is sent", async (_, change) => {
  const { user, server } = await story({ "tools/call": asksOnce }, PATIENT);
  const { requestState } = await user.result("tools/call", CALL);
  const answers = { inputResponses: { name: accept() } };
  const refused = await user.send("tools/call", { ...change(requestState), ...answers });
  expect(refused).toMatchObject({ status: 200, message: { error: { code: -32602 } } });
  expect(count(server, "tools/call")).toBe(1);
  expect(count(server, "answer")).toBe(0);

  expect(await user.result("tools/call", { ...CALL, requestState, ...answers })).toMatchObject({
    resultType: "complete",
  });
});

test("a round that is repeated finds the same result, and the tool ran once", async () => {
  const { user, server } = await story({ "tools/call": asksOnce }, PATIENT);
  const { requestState } = await user.result("tools/call", CALL);
  const round = { ...CALL, requestState, inputResponses: { name: accept({ name: "Ada" }) } };
  const results = await Promise.all([user.result("tools/call", round), user.result("tools/call", round)]);
  results.push(await user.result("tools/call", round));

  expect(results.map(textOf)).toEqual(Array(3).fill(JSON.stringify(accept({ name: "Ada" }))));
  expect(count(server, "tools/call")).toBe(1);
  expect(count(server, "answer")).toBe(1);
});

test("a round that is repeated after the call became a task finds the same task", async () => {
  const done = gate();
  const { user, server } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        await stream.ask("elicitation/create", form("?", "name"));
        await done.opened;
        stream.event(call.answer(textResult("done")));
        stream.end();
      },
    },
    BECOMES_TASK,
  );
  const { requestState } = await user.result("tools/call", CALL);
  const round = { ...CALL, requestState, inputResponses: { name: accept() } };
  const handles = await Promise.all([user.result("tools/call", round), user.result("tools/call", round)]);
  handles.push(await user.result("tools/call", round));
  const [{ taskId }] = handles;
  expect(handles.map((handle) => [handle.resultType, handle.taskId])).toEqual(
    Array(3).fill(["task", taskId]),
  );

  done.open();
  expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
  expect((await user.result("tools/call", round)).taskId).toBe(taskId);
  expect(count(server, "tools/call")).toBe(1);
});

test("a client without tasks is asked in rounds, however long the tool takes", async () => {
  const working = gate();
  const { client, server } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        await working.opened;
        await stream.ask("elicitation/create", form("First?", "first"));
        await stream.ask("elicitation/create", form("Second?", "second"));
        stream.event(call.answer(textResult("done")));
        stream.end();
      },
    },
    { policy: { waitForMs: 1 } },
  );
  const plain = client({ capabilities: INPUT });
  const pending = plain.result("tools/call", CALL);
  await server.arrival("tools/call");
  working.open();
  const first = await pending;
  expect(Object.keys(first.inputRequests)).toEqual(["first"]);
  const second = await plain.result("tools/call", {
    ...CALL,
    requestState: first.requestState,
    inputResponses: { first: accept() },
  });
  expect(Object.keys(second.inputRequests)).toEqual(["second"]);
  const last = await plain.result("tools/call", {
    ...CALL,
    requestState: second.requestState,
    inputResponses: { second: accept() },
  });
  expect(textOf(last)).toBe("done");
});

/** A server whose tool asks `QUESTIONS` questions, one after the other. */
const QUESTIONS = 12;
const asksOften: Script = async (call) => {
  const stream = call.sse();
  for (let n = 1; n <= QUESTIONS; n += 1) await stream.ask("elicitation/create", form("?", `q${n}`));
  stream.event(call.answer(textResult("done"))).end();
};

/** Answers in rounds for as long as it is asked so. Gives what came then, and how often it was asked. */
async function answerRounds(user: ModernClient) {
  let asked = 0;
  let result = await user.result("tools/call", CALL);
  while (result.resultType === "input_required") {
    asked += 1;
    const [key = ""] = Object.keys(result.inputRequests);
    const { requestState } = result;
    result = await user.result("tools/call", { ...CALL, requestState, inputResponses: { [key]: accept() } });
  }
  return { asked, result };
}

test("a client that knows tasks is asked in eight rounds, and then by the call's task", async () => {
  const { user, server } = await story({ "tools/call": asksOften }, PATIENT);
  const { asked, result } = await answerRounds(user);
  expect([asked, result.resultType]).toEqual([8, "task"]);

  for (let n = 9; n <= QUESTIONS; n += 1) {
    const task = await user.taskWhen(result.taskId, ({ inputRequests = {} }) => `q${n}` in inputRequests);
    expect([task.status, Object.keys(task.inputRequests)]).toEqual(["input_required", [`q${n}`]]);
    await user.send("tasks/update", { taskId: result.taskId, inputResponses: { [`q${n}`]: accept() } });
  }
  expect(await user.settled(result.taskId)).toMatchObject({ status: "completed" });
  expect([count(server, "tools/call"), count(server, "answer")]).toEqual([1, QUESTIONS]);
});

test("a client that knows no tasks is asked in as many rounds as there are questions", async () => {
  const { client, server } = await story({ "tools/call": asksOften }, PATIENT);
  const { asked, result } = await answerRounds(client({ capabilities: INPUT }));
  expect([asked, textOf(result)]).toEqual([QUESTIONS, "done"]);
  expect(count(server, "tools/call")).toBe(1);
});

test("one of two rounds may hang up without ending the call for the other", async () => {
  const goOn = gate();
  const { client, server } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        await stream.ask("elicitation/create", form("?", "name"));
        await goOn.opened;
        stream.event(call.answer(textResult("done"))).end();
      },
    },
    { limits: { keepAliveMs: 10 } },
  );
  const plain = client({ capabilities: INPUT });
  const { requestState } = await plain.result("tools/call", CALL);
  const round = { ...CALL, requestState, inputResponses: { name: accept() } };
  const leaving = new AbortController();
  // Both streams are opened for a comment: then both wait for the result.
  const left = await plain.open("tools/call", round, { signal: leaving.signal });
  const stays = await plain.open("tools/call", round);
  leaving.abort();
  await expect(left.body.text()).rejects.toThrow();
  // By the time these are answered, the gateway has noticed.
  for (let n = 0; n < 3; n += 1) await plain.result("tools/list");
  goOn.open();
  const { message } = await read(stays);
  expect(textOf(message.result)).toBe("done");
  expect(count(server, "notifications/cancelled")).toBe(0);
});

test("the call ends with the last round that waits for it", async () => {
  const { client, server } = await story(
    {
      "tools/call": async (call) => {
        await call.sse().ask("elicitation/create", form("?", "name"));
      },
    },
    { limits: { keepAliveMs: 10 } },
  );
  const plain = client({ capabilities: INPUT });
  const { requestState } = await plain.result("tools/call", CALL);
  const round = { ...CALL, requestState, inputResponses: { name: accept() } };
  const leaving = new AbortController();
  const waiting = [1, 2].map(() => plain.open("tools/call", round, { signal: leaving.signal }));
  await Promise.all(waiting);
  leaving.abort();
  await expectCancelled(server, await server.arrival("tools/call"));
});
