/** Clients without tasks before a server over stdio, in sessions over Streamable HTTP and on standard input and output. */

import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { fileWith } from "../../cli/process.ts";
import { type RawClient, startStdio } from "../../stdio/raw-client.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { accept, form, textOf } from "../../support/story.ts";
import { TALKS, talks } from "../paired/talks.ts";
import { follow, GENERATIONS, LEGACY, nextOf, type Plain, SOON } from "./model.ts";

const WAIT = { key: "a" };
const ASK = { method: "elicitation/create", params: form("Who?") };

describe.each(GENERATIONS)("a client of %s over Streamable HTTP", (version, connect) => {
  test("gets the result of its own process", async () => {
    const { url } = await talks({ policy: SOON });
    const client = await connect(url);
    const first = await client.call("work", { ms: 1_000 });
    expect(nextOf(first)?.tool).toBe("taskgate_result");
    expect(textOf(await follow(client, first))).toBe("worked");
    expect((await client.list()).tools.map(({ name }: JsonObject) => name)).toContain("taskgate_cancel");
    expect(version).toMatch(/^20/);
  });
});

test("the server hears of the cancellation of a call and of a task under the id that it knows", async () => {
  const { url } = await talks({ policy: { fallback: { ...SOON.fallback, afterMs: 60_000 } } });
  const client = await LegacyWire.connect(url, { version: "2025-06-18" });
  const waiting = client.open("tools/call", { name: "wait", arguments: WAIT }, { id: "mine" });
  await client.result("ping");
  await client.notify("notifications/cancelled", { requestId: "mine", reason: "enough" });
  expect((await waiting.answer).message).toBeUndefined();
  await expect
    .poll(async () => (await client.result("x/heard")).heard.at(-1))
    .toMatchObject({
      method: "notifications/cancelled",
      params: { requestId: expect.stringMatching(/^taskgate-/) },
    });
});

/** A gateway on standard input and output in front of a server that does what a call says. */
async function onStdio(tasks: JsonObject = { fallbackAfter: "50ms" }): Promise<RawClient> {
  const servers = { talks: { upstream: { command: process.execPath, args: [TALKS] }, tasks } };
  return startStdio(["--config", await fileWith("taskgate.json", JSON.stringify({ servers }))], {
    capabilities: { elicitation: { form: {} } },
  });
}

describe.each(LEGACY.map(([version]) => version))("a client of %s over stdio", (version) => {
  test("has the fallback without a setting, and is asked while it waits for the result", async () => {
    const client = await onStdio();
    await client.initialize(version, { elicitation: {} });
    const plain: Plain = {
      list: (params = {}) => client.result("tools/list", params),
      call: (name, args = {}) => client.result("tools/call", { name, arguments: args }),
    };
    expect((await plain.list()).tools.map(({ name }: JsonObject) => name)).toContain("taskgate_result");
    expect(textOf(await follow(plain, await plain.call("work", { ms: 500 })))).toBe("worked");

    const first = client.result("tools/call", { name: "ask", arguments: ASK });
    const question = await client.message(({ method }) => method === "elicitation/create");
    const told = await first;
    client.send({ id: question.id, result: accept({ name: "Ada" }) });
    expect((await follow(plain, told)).told.result).toEqual(accept({ name: "Ada" }));
  });
});

test("a client of 2026-07-28 over stdio has it, too", async () => {
  const client = await onStdio();
  const plain: Plain = {
    list: async () => (await client.ask("tools/list")).result,
    call: async (name, args = {}) => (await client.ask("tools/call", { name, arguments: args })).result,
  };
  expect((await plain.list()).tools.map(({ name }: JsonObject) => name)).toContain("taskgate_result");
  expect(textOf(await follow(plain, await plain.call("work", { ms: 500 })))).toBe("worked");
});
