import { expect, test } from "vitest";
import { accept, asksOnce, count, form, story, textOf, textResult } from "../support/story.ts";

const CALL = { name: "ask", arguments: { n: 1 } } as const;
/** What comes at once is not to become a task, however busy the machine. */
const PATIENT = { policy: { waitForMs: 60_000 } };

test("a question within the window goes to the client, and its answer to the server", async () => {
  const { user, server } = await story({ "tools/call": asksOnce }, PATIENT);

  const asked = await user.result("tools/call", CALL);
  expect(asked).toMatchObject({
    resultType: "input_required",
    inputRequests: { name: { method: "elicitation/create", params: { message: "Who are you?" } } },
    requestState: expect.any(String),
  });
  expect(asked).not.toHaveProperty("ttlMs");

  const answered = await user.result("tools/call", {
    ...CALL,
    requestState: asked.requestState,
    inputResponses: { name: accept({ name: "Ada" }) },
  });
  expect(answered.resultType).toBe("complete");
  expect(JSON.parse(textOf(answered) ?? "")).toEqual(accept({ name: "Ada" }));
  expect(count(server, "tools/call")).toBe(1);
});

test.each(["prompts/get", "resources/read"])("%s may ask as well", async (method) => {
  const { user, server } = await story({ [method]: asksOnce }, PATIENT, {
    capabilities: { prompts: {}, resources: {} },
  });
  const params = { "prompts/get": { name: "p" }, "resources/read": { uri: "x://y" } }[method];

  const asked = await user.result(method, params);
  expect(asked.resultType).toBe("input_required");
  expect(asked).not.toHaveProperty("cacheScope");
  const { requestState } = asked;
  const answered = await user.result(method, { ...params, requestState, inputResponses: { name: accept() } });
  expect(answered.resultType).toBe("complete");
  expect(count(server, method)).toBe(1);
});

test("an answer of the wrong shape is refused, and the question stays", async () => {
  const { user } = await story({ "tools/call": asksOnce }, PATIENT);
  const { requestState } = await user.result("tools/call", CALL);
  const bad = await user.send("tools/call", {
    ...CALL,
    requestState,
    inputResponses: { name: { action: "maybe" } },
  });
  expect(bad).toMatchObject({ status: 200, message: { error: { code: -32602 } } });
  expect(bad.message.error.message).toContain('"name"');

  const inputResponses = { name: accept() };
  expect(await user.result("tools/call", { ...CALL, requestState, inputResponses })).toMatchObject({
    resultType: "complete",
  });
});

test("answers that come with the first request are given when the server asks", async () => {
  const { user } = await story({ "tools/call": asksOnce }, PATIENT);
  const result = await user.result("tools/call", {
    ...CALL,
    inputResponses: { name: accept({ name: "Ada" }) },
  });
  expect(result.resultType).toBe("complete");
  expect(textOf(result)).toContain("Ada");
});

test("an early answer of the wrong shape ends the call", async () => {
  const { user, server } = await story({ "tools/call": asksOnce }, PATIENT);
  const { message } = await user.send("tools/call", { ...CALL, inputResponses: { name: { action: 1 } } });
  expect(message.error.code).toBe(-32602);
  expect((await server.arrival("answer")).message).toHaveProperty("error");
});

test("inputResponses that are no object are refused before anything is sent", async () => {
  const { user, server } = await story({ "tools/call": asksOnce }, PATIENT);
  const { message } = await user.send("tools/call", { ...CALL, inputResponses: [] });
  expect(message.error.code).toBe(-32602);
  expect(count(server, "tools/call")).toBe(0);
});

test("questions that are asked in one breath arrive together", async () => {
  const { user } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        await Promise.all([
          stream.ask("elicitation/create", form("a", "a")),
          stream.ask("sampling/createMessage", { messages: [], maxTokens: 1 }),
          stream.ask("roots/list"),
        ]);
        stream.event(call.answer(textResult("done")));
        stream.end();
      },
    },
    PATIENT,
  );
  const { inputRequests, requestState } = await user.result("tools/call", CALL);
  expect(inputRequests).toMatchObject({
    a: { method: "elicitation/create" },
    "sampling-2": { method: "sampling/createMessage", params: { messages: [], maxTokens: 1 } },
    "roots-3": { method: "roots/list" },
  });
  const inputResponses = {
    a: { action: "decline" },
    "sampling-2": { role: "assistant", model: "m", content: { type: "text", text: "hi" } },
    "roots-3": { roots: [{ uri: "file:///tmp" }] },
  };
  expect(textOf(await user.result("tools/call", { ...CALL, requestState, inputResponses }))).toBe("done");
});
