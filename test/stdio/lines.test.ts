/** What comes in is lines, good and bad; what goes out is messages and nothing else. */

import { expect, test } from "vitest";
import { fileWith } from "../cli/process.ts";
import { script } from "../support/stdio-servers/scripts.ts";
import { type RawClient, startStdio } from "./raw-client.ts";

const ECHO = { name: "echo", arguments: { text: "still there" } };

test.each<[string, string, number]>([
  ["no JSON", "garbage", -32700],
  ["half a message", '{"jsonrpc":"2.0","id":1,', -32700],
  ["no message", '"text"', -32600],
  ["a batch, before there is a session of 2025-03-26", '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600],
  ["a message without a version", '{"id":1.5,"method":"tools/list"}', -32600],
  ["an id that is none", '{"jsonrpc":"2.0","id":null,"method":"tools/list"}', -32600],
  ["a line nested too deep", `{"id":1,"x":${"[".repeat(200_000)}${"]".repeat(200_000)}}`, -32600],
])("%s: an error without an id, and the connection goes on", async (_, line, code) => {
  const client = startStdio(commandOf("odd-tools"));
  client.write(line);
  expect(await client.message(({ id }) => id === null)).toMatchObject({ error: { code } });
  await goesOn(client);
});

test("bytes that are no UTF-8 are an error, and the connection goes on", async () => {
  const client = startStdio(commandOf("odd-tools"));
  client.write(Buffer.from([0x22, 0xff, 0x22]));
  expect(await client.message(({ id }) => id === null)).toMatchObject({
    error: { code: -32700, message: "Parse error: the line is not UTF-8" },
  });
  await goesOn(client);
});

test("a message with an id that cannot be served is an error for that id", async () => {
  const client = startStdio(commandOf("odd-tools"));
  client.send({ id: "early", method: "tools/list" });
  expect(await client.answer("early")).toMatchObject({
    error: {
      code: -32602,
      message: "Invalid params: params._meta is required, or initialize before anything else",
    },
  });
  client.send({ id: 0, method: "ping" });
  expect(await client.answer(0)).toEqual({ jsonrpc: "2.0", id: 0, result: {} });
  await goesOn(client);
});

test("empty lines, unknown notifications and answers to nothing are ignored", async () => {
  const client = startStdio(commandOf("odd-tools"));
  client.write("");
  client.write(" \r");
  client.send({ method: "notifications/unknown" });
  client.send({ method: "notifications/cancelled", params: { requestId: "nobody's" } });
  client.send({ id: "nobody's", result: {} });
  await goesOn(client);
  expect(client.heard).toHaveLength(1);
});

test("a line of a megabyte is served, one beyond the limit refused without being kept, and the connection goes on", async () => {
  const file = await fileWith(
    "taskgate.yaml",
    `
limits: { maxBody: 2mb }
servers: { tested: { upstream: ${JSON.stringify(commandLine("odd-tools"))}, tasks: { waitFor: 3m } } }
`,
  );
  const client = startStdio(["--config", file]);
  const text = "x".repeat(1_000_000);
  const { result } = await client.ask("tools/call", { name: "echo", arguments: { text } });
  expect(result.content[0].text).toBe(text);

  client.write("y".repeat(3_000_000));
  expect(await client.message(({ id }) => id === null)).toMatchObject({
    error: {
      code: -32600,
      message: "Invalid request: a line may have 2097152 bytes at most (limits.maxBody)",
    },
  });
  await goesOn(client);
});

test("greetings, chatter and a flooded stderr of the server leave standard output to the protocol", async () => {
  const greeted = startStdio(commandOf("greets"));
  await goesOn(greeted);
  expect(greeted.heard).toHaveLength(1);

  const client = startStdio(commandOf("odd-tools"));
  await client.ask("tools/call", { name: "chatter", arguments: {} });
  await client.ask("tools/call", { name: "flood", arguments: { lines: 20_000 } });
  await goesOn(client);
  expect(client.heard).toHaveLength(3);
  // What it writes to standard error may hold anything, and is logged at `debug` only.
  const logged = client.stderr.split("\n").filter((line) => line !== "");
  expect(logged.map((line) => JSON.parse(line).msg)).not.toContain("the server says");
});

async function goesOn(client: RawClient): Promise<void> {
  const { result } = await client.ask("tools/call", ECHO);
  expect(result.content[0].text).toBe("still there");
}

function commandLine(name: Parameters<typeof script>[0]) {
  const { command, args } = script(name);
  return { command, args };
}

function commandOf(name: Parameters<typeof script>[0]): readonly string[] {
  const { command, args } = commandLine(name);
  return ["--", command, ...args];
}
