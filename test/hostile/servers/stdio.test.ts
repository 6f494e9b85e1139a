import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { gatewayFor } from "../../support/gateway.ts";
import type { Json, ModernClient } from "../../support/modern-client.ts";
import { EVERYTHING, textOf } from "../../support/story.ts";

/** One process for one call after the other, unless it is given up. */
async function evil(): Promise<ModernClient> {
  const { client } = await gatewayFor({
    upstream: {
      command: process.execPath,
      args: [fileURLToPath(new URL("evil.mjs", import.meta.url))],
      maxSessions: 2,
    },
    policy: { mode: "always", maxRuntimeMs: 10_000, maxResultBytes: 500_000 },
  });
  return client({ capabilities: EVERYTHING });
}

async function outcome(user: ModernClient, name: string, args: object = {}): Promise<Json> {
  const { taskId } = await user.callTool(name, { ...args });
  return user.settled(taskId);
}

async function pid(user: ModernClient): Promise<string | undefined> {
  return textOf((await outcome(user, "pid")).result);
}

const ENDINGS: [string, string, object, RegExp, isKept: boolean][] = [
  ["too many levels", "nest", { depth: 200 }, /nested deeper than 128 levels \(limits\.maxDepth\)/, true],
  [
    "a line of levels only",
    "say",
    { lines: ["[".repeat(1_060_000)] },
    /sent too much: .* nested deeper/,
    false,
  ],
  [
    "neither a result nor an error",
    "say",
    { lines: ['{"jsonrpc":"2.0","id":ID}'] },
    /neither a result nor/,
    true,
  ],
  [
    "a result that is a text, in a batch",
    "say",
    { lines: ['[1,{"jsonrpc":"2.0","id":ID,"result":"x"}]'] },
    /its result is "x", expected an object/,
    true,
  ],
  [
    "a result and an error",
    "say",
    { lines: ['{"jsonrpc":"2.0","id":ID,"result":{},"error":{"code":1,"message":"its own"}}'] },
    /^its own$/,
    true,
  ],
  [
    "a line without end",
    "flood",
    { to: "stdout", piece: "x".repeat(65_536), pieces: 1_000 },
    /sent more than 1065536 bytes in one line/,
    false,
  ],
  ["a thousand questions", "ask", { questions: 1_000 }, /asked more than 100 questions at once/, false],
];

test.each(ENDINGS)(
  "%s is the end of its call, and of nothing else",
  async (_, tool, args, message, isKept) => {
    const user = await evil();
    const before = await pid(user);
    const task = await outcome(user, tool, args);
    expect(task).toMatchObject({ status: "failed" });
    expect(task.error.message).toMatch(message);
    expect((await pid(user)) === before).toBe(isKept);
  },
);

const FLOODS: [string, string, string, number][] = [
  ["what is no message", "stdout", "x\n".repeat(5_000), 20],
  ["blank lines", "stdout", "\n".repeat(65_536), 10],
  ["notifications that nobody knows", "stdout", '{"jsonrpc":"2.0","method":"x"}\n'.repeat(1_000), 50],
  [
    "deep notifications",
    "stdout",
    `{"jsonrpc":"2.0","method":"x","params":${"[".repeat(200)}${"]".repeat(200)}}\n`.repeat(100),
    50,
  ],
  [
    "deep questions",
    "stdout",
    `{"jsonrpc":"2.0","id":"q","method":"x","params":[${"[".repeat(200)}${"]".repeat(200)}]}\n`.repeat(100),
    20,
  ],
  ["pings", "stdout", '{"jsonrpc":"2.0","id":"p","method":"ping"}\n'.repeat(1_000), 50],
  ["a line of stderr", "stderr", "x".repeat(65_536), 500],
];

test("a flood of answers to something else ends the call: the first can only be meant for it", async () => {
  const user = await evil();
  const piece = '{"jsonrpc":"2.0","id":99999,"result":{}}\n'.repeat(1_000);
  const { status, error } = await outcome(user, "flood", { to: "stdout", piece, pieces: 50 });
  expect([status, error.message]).toEqual([
    "failed",
    expect.stringMatching(/its id is 99999, expected \d+$/),
  ]);
});

test.each(FLOODS)("a flood of %s ends with an answer", async (_, to, piece, pieces) => {
  const user = await evil();
  const before = await pid(user);
  expect(await outcome(user, "flood", { to, piece, pieces })).toMatchObject({
    status: "completed",
    result: { content: [{ text: "flooded" }] },
  });
  expect(await pid(user)).toBe(before);
});
