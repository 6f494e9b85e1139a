import { expect, test } from "vitest";
import type { Exchange } from "../support/scripted-exchange.ts";
import { count, story, textResult } from "../support/story.ts";

const LONGEST = "t".repeat(128);
const TOO_LONG = "t".repeat(129);
const SCRIPTS = { "tools/call": (call: Exchange) => call.json(textResult("done")) };

test("a name of 128 characters is a tool's", async () => {
  const { user, server } = await story(SCRIPTS);
  expect(await user.callTool(LONGEST)).toMatchObject({ content: [{ text: "done" }] });
  expect(count(server, "tools/call")).toBe(1);
});

test("a longer one is refused before the server hears of it", async () => {
  const { user, server } = await story(SCRIPTS);
  const { message, status } = await user.send("tools/call", { name: TOO_LONG, arguments: {} });
  expect([status, message.error]).toMatchObject([
    200,
    { code: -32602, message: expect.stringMatching(/name must have 128 characters at most.*got 129/) },
  ]);
  expect(count(server, "tools/call")).toBe(0);
});

test("unless it is the server's own", async () => {
  const tools = [{ name: TOO_LONG, inputSchema: { type: "object" } }];
  const { user } = await story(SCRIPTS, {}, { tools });
  expect(await user.callTool(TOO_LONG)).toMatchObject({ content: [{ text: "done" }] });
});
