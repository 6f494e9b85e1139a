/** A server that has a request and says nothing of it: whoever waits is told so within `startTimeout`. */

import { expect, test } from "vitest";
import type { Script } from "../support/scripted-server.ts";
import { gate, story } from "../support/story.ts";

const NOTHING: Script = () => undefined;
const REF = { type: "ref/prompt", name: "p" };
const ARGUMENT = { name: "a", value: "" };

test.each([
  ["prompts/get", { name: "p" }],
  ["tools/list", {}],
  ["prompts/list", {}],
  ["completion/complete", { ref: REF, argument: ARGUMENT }],
  ["x/unheard-of", {}],
])("%s that is never answered ends with an error, and the server is told", async (method, params) => {
  const { user, server } = await story({ [method]: NOTHING }, { startTimeoutMs: 500 });
  const { message } = await user.send(method, params);
  expect(message.error).toEqual({
    code: -32603,
    message: expect.stringContaining(`did not answer ${method} within 500 ms (startTimeout)`),
  });
  await server.arrival("notifications/cancelled");
});

test("a prompt of which the server tells progress, or for which it asks the user, may take longer", async () => {
  const more = gate();
  const { client, server } = await story(
    {
      "prompts/get": async (call) => {
        const stream = call.sse();
        const { _meta } = call.message.params ?? {};
        const { progressToken } = _meta as { progressToken: string };
        const progress = setInterval(
          () => stream.notify("notifications/progress", { progressToken, progress: 1 }),
          100,
        );
        await more.opened;
        clearInterval(progress);
        const params = { message: "?", requestedSchema: { type: "object", properties: {} } };
        const answer = await stream.ask("elicitation/create", params);
        stream.event(call.answer({ messages: [], description: JSON.stringify(answer) })).end();
      },
    },
    { startTimeoutMs: 1_000 },
  );
  const user = client({ capabilities: { elicitation: { form: {} } } });
  const began = performance.now();
  const asked = user.result("prompts/get", { name: "p" });
  await server.arrival("prompts/get");
  await expect.poll(() => performance.now() - began, { timeout: 60_000 }).toBeGreaterThan(2_500);
  more.open();
  const { resultType, inputRequests, requestState } = await asked;
  expect(resultType).toBe("input_required");
  const askedAt = performance.now();
  await expect.poll(() => performance.now() - askedAt, { timeout: 60_000 }).toBeGreaterThan(1_500);
  const inputResponses = { [String(Object.keys(inputRequests)[0])]: { action: "decline" } };
  const result = await user.result("prompts/get", { name: "p", inputResponses, requestState });
  expect(result.description).toContain("decline");
});
