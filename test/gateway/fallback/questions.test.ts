/** What a server asks during a call that a client without tasks makes (`fallback: tools`). */

import { describe, expect, test } from "vitest";
import { LegacyWire } from "../../support/legacy-wire.ts";
import type { ModernClient } from "../../support/modern-client.ts";
import { elicits, modernStory, said, wants } from "../../support/modern-server.ts";
import type { Script } from "../../support/scripted-server.ts";
import { accept, asksOnce, count, gate, INPUT, story, textOf } from "../../support/story.ts";
import { LEGACY, nextOf, PATIENT, plainly, SOON } from "./model.ts";

const ANSWER = accept({ name: "Ada" });
const VERSIONS = LEGACY.map(([version]) => version);

/** Asks once the gate is open. */
function asksWhen(opened: Promise<void>): Script {
  return async (call) => {
    await opened;
    await asksOnce(call);
  };
}

describe.each(VERSIONS)("a client of %s", (version) => {
  test("is asked on the stream of a call that ends in time, and answers there", async () => {
    const { url } = await story({ "tools/call": asksOnce }, { policy: PATIENT });
    const client = await LegacyWire.connect(url, { version });
    const call = client.open("tools/call", { name: "t", arguments: {} });
    const question = await call.heard("elicitation/create");
    expect(question.params.message).toBe("Who are you?");
    expect(JSON.stringify(question)).not.toContain("related-task");
    expect((await client.respond(question.id, { result: ANSWER })).status).toBe(202);
    const { message } = await call.answer;
    expect(JSON.parse(textOf(message.result) ?? "")).toEqual(ANSWER);
  });

  test("is asked on the stream of the next taskgate_result, under no other", async () => {
    const { opened, open } = gate();
    const { url } = await story({ "tools/call": asksWhen(opened) }, { policy: SOON });
    const client = await LegacyWire.connect(url, { version });
    const stream = await client.listen();
    const first = await plainly(client).call("t");
    open();
    const { args = {} } = nextOf(first) ?? {};
    await expect
      .poll(async () => textOf(await plainly(client).call("taskgate_result", { ...args, waitSeconds: 0 })))
      .toContain("It has a question for the user");
    const waiting = client.open("tools/call", { name: "taskgate_result", arguments: args });
    const question = await waiting.heard("elicitation/create");
    await client.respond(question.id, { result: ANSWER });
    const { message } = await waiting.answer;
    // The wait may have been over before the server had the answer.
    const result = nextOf(message.result) === undefined ? message.result : undefined;
    const last = result ?? (await plainly(client).call("taskgate_result", args));
    expect(JSON.parse(textOf(last) ?? "{}")).toEqual(ANSWER);
    expect(stream.messages).toEqual([]);
  });
});

const MODERN: readonly (readonly [string, typeof story, Script])[] = [
  ["an older server", story, asksOnce],
  [
    "a server of 2026-07-28",
    modernStory,
    (call) => {
      const { inputResponses } = call.message.params ?? {};
      if (inputResponses === undefined) return call.json(wants({ name: elicits("Who are you?") }, "s"));
      call.json(said(JSON.stringify((inputResponses as { readonly name: unknown }).name)));
    },
  ],
];

describe.each(MODERN)("a client of 2026-07-28 before %s", (_, storyOf, asks) => {
  test("answers questions in rounds, during the call and during taskgate_result", async () => {
    const first = await storyOf({ "tools/call": asks }, { policy: PATIENT });
    const quick = first.client({ capabilities: INPUT });
    const asked = await quick.callTool("anything");
    const rounds = { inputResponses: { name: ANSWER }, requestState: asked.requestState };
    const done = await quick.callTool("anything", {}, { params: rounds });
    expect(JSON.parse(textOf(done) ?? "")).toEqual(ANSWER);

    const { opened, open } = gate();
    const slow: Script = async (call) => {
      await opened;
      await asks(call);
    };
    const second = await storyOf({ "tools/call": slow }, { policy: SOON });
    const client: ModernClient = second.client({ capabilities: INPUT });
    const { args = {} } = nextOf(await client.callTool("anything")) ?? {};
    open();
    let question = await client.callTool("taskgate_result", args);
    while (nextOf(question) !== undefined) question = await client.callTool("taskgate_result", args);
    expect(question).toMatchObject({
      resultType: "input_required",
      inputRequests: { name: { method: "elicitation/create" } },
    });
    const round = { inputResponses: { name: ANSWER }, requestState: question.requestState };
    let result = await client.callTool("taskgate_result", args, { params: round });
    while (nextOf(result) !== undefined) result = await client.callTool("taskgate_result", args);
    expect(JSON.parse(textOf(result) ?? "")).toEqual(ANSWER);
    expect(count(second.server, "tools/call")).toBeLessThanOrEqual(2);
  });
});
