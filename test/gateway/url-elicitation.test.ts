import { expect, test } from "vitest";
import { TASKS } from "../support/modern-client.ts";
import type { Script } from "../support/scripted-server.ts";
import { count, story, textOf } from "../support/story.ts";

/** Wants a page visited first, and believes it when it is called again. */
function wantsVisits(pages: number): Script {
  let visits = 0;
  return (call) => {
    visits += 1;
    if (visits > pages) return call.text(`after ${pages}`);
    const elicitations = [
      { mode: "url", elicitationId: `e${visits}`, url: `https://x.example/${visits}`, message: "Sign in" },
    ];
    call.error(-32042, "URL elicitation required", { data: { elicitations } });
  };
}

test("a server that wants a page visited is called again when the user has been there", async () => {
  const { user, server } = await story({ "tools/call": wantsVisits(1) });
  const { inputRequests, requestState } = await user.result("tools/call", { name: "t" });
  expect(inputRequests).toEqual({
    "elicitation-1": {
      method: "elicitation/create",
      params: { mode: "url", url: "https://x.example/1", message: "Sign in" },
    },
  });
  const inputResponses = { "elicitation-1": { action: "accept" } };
  const result = await user.result("tools/call", { name: "t", requestState, inputResponses });
  expect(textOf(result)).toBe("after 1");
  expect(count(server, "tools/call")).toBe(2);
});

test("as a task it asks in tasks/get, and again for the next page", async () => {
  const { user, server } = await story({ "tools/call": wantsVisits(2) }, { policy: { mode: "always" } });
  const { taskId } = await user.callTool("t");
  for (const key of ["elicitation-1", "elicitation-2"]) {
    await user.taskWhen(taskId, ({ inputRequests }) => inputRequests?.[key]);
    await user.result("tasks/update", { taskId, inputResponses: { [key]: { action: "accept" } } });
  }
  expect(textOf((await user.settled(taskId)).result)).toBe("after 2");
  expect(count(server, "tools/call")).toBe(3);
});

test.each(["decline", "cancel"])("a user who answers %s is not sent on", async (action) => {
  const { user, server } = await story({ "tools/call": wantsVisits(1) });
  const { requestState } = await user.result("tools/call", { name: "t" });
  const inputResponses = { "elicitation-1": { action } };
  const { message } = await user.send("tools/call", { name: "t", requestState, inputResponses });
  expect(message.error).toMatchObject({ code: -32603, message: expect.stringContaining("did not go") });
  expect(count(server, "tools/call")).toBe(1);
});

test("a client that cannot open pages is told what it lacks", async () => {
  const { client } = await story({ "tools/call": wantsVisits(1) });
  const user = client({ capabilities: { ...TASKS, elicitation: {} } });
  expect(await user.send("tools/call", { name: "t" })).toMatchObject({
    status: 400,
    message: { error: { code: -32021, data: { requiredCapabilities: { elicitation: { url: {} } } } } },
  });
});

test("an error with this code and no pages is an error of the server's", async () => {
  const { user } = await story({ "tools/call": (call) => call.error(-32042, "odd", { data: { other: 1 } }) });
  const { message } = await user.send("tools/call", { name: "t" });
  expect(message.error).toEqual({
    code: -32603,
    message: "odd",
    data: { upstream: { code: -32042, message: "odd", data: { other: 1 } } },
  });
});
