/** Clients that know no tasks get long results by calling a tool (`fallback: tools`). */

import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { count, expectCancelled, gate, type StorySettings, story, textOf } from "../../support/story.ts";
import { follow, GENERATIONS, nextOf, PATIENT, SOON } from "./model.ts";

const REPORT = {
  name: "report",
  inputSchema: { type: "object" },
  outputSchema: { type: "object", properties: { pages: { type: "number" } } },
};
const RESULT = {
  content: [
    { type: "text", text: "the report" },
    { type: "image", data: "AA==", mimeType: "image/png" },
  ],
  structuredContent: { pages: 3 },
  _meta: { "x/y": [1] },
  "x-more": true,
};

/** A tool that ends when it is released, before a gateway with the fallback. */
async function slow(settings: StorySettings = { policy: SOON }, result: JsonObject = RESULT) {
  const released = gate();
  const told = await story(
    {
      "tools/call": async (call) => {
        await Promise.race([released.opened, call.closed]);
        if (!call.response.destroyed) call.json(result);
      },
    },
    settings,
    { tools: [REPORT] },
  );
  return { ...told, release: () => released.open() };
}

describe.each(GENERATIONS)("a client of %s", (version, connect) => {
  test("is told in words, and gets the result exactly by doing what they say", async () => {
    const { url, server, release } = await slow();
    const client = await connect(url);
    const first = await client.call("report", { of: "May" });
    expect(textOf(first)).toMatch(/^report is still running after \d+ s\b.*\. This is not its result\./);
    expect(nextOf(first)?.tool).toBe("taskgate_result");
    const again = await client.call("taskgate_result", { ...nextOf(first)?.args, waitSeconds: 0 });
    expect(nextOf(again)).toEqual(nextOf(first));
    release();
    const result = await follow(client, first);
    const { resultType, _meta, ...rest } = result;
    const { _meta: meta, ...expected } = RESULT;
    expect(rest).toEqual(expected);
    expect(_meta).toMatchObject(meta);
    expect(resultType).toBe(version === "2026-07-28" ? "complete" : undefined);
    expect(count(server, "tools/call")).toBe(1);
    expect(await client.call("taskgate_result", nextOf(first)?.args)).toEqual(result);
  });

  test("gets a call that ends in time as ever", async () => {
    const { url, release } = await slow({ policy: PATIENT });
    const client = await connect(url);
    release();
    expect(await client.call("report")).toMatchObject(RESULT);
  });

  test("finds two more tools in the list, and no outputSchema where another answer may come", async () => {
    const { url } = await slow({ policy: SOON, tools: [{ match: "re*", mode: "never" }] });
    const { url: other } = await slow();
    const kept = await (await connect(url)).list();
    const names = kept.tools.map(({ name }: JsonObject) => name);
    expect(names).toEqual(["report", "taskgate_result", "taskgate_cancel"]);
    expect(kept.tools[0]).toMatchObject(REPORT);
    const changed = await (await connect(other)).list();
    const { outputSchema: _, ...rest } = REPORT;
    expect(changed.tools[0]).toMatchObject(rest);
    expect(changed.tools[0]).not.toHaveProperty("outputSchema");
    const { tools } = await (await connect(other)).list({ cursor: "2" });
    expect(tools.map(({ name }: JsonObject) => name)).toEqual(["report"]);
  });

  test("cancels by the other tool, and the server hears of it", async () => {
    const { url, server } = await slow();
    const client = await connect(url);
    const args = nextOf(await client.call("report"))?.args;
    // A call that is cancelled before its session is open never reaches the server.
    const call = await server.arrival("tools/call");
    const cancelled = await client.call("taskgate_cancel", args);
    expect(textOf(cancelled)).toBe("report was cancelled; there will be no result.");
    await expectCancelled(server, call);
    const result = await client.call("taskgate_result", args);
    expect(result.isError).toBe(true);
    expect(textOf(result)).toBe("report was cancelled: Cancelled by the client.");
    expect(textOf(await client.call("taskgate_cancel", args))).toMatch(/^report had ended already/);
  });

  test("hears in one sentence of what names no task", async () => {
    const { url } = await slow();
    const client = await connect(url);
    for (const task of ["bcdf-ghjk-mnpq", "report", "", "x".repeat(50_000)]) {
      const result = await client.call("taskgate_result", { task });
      expect(result.isError).toBe(true);
      expect(textOf(result)).toMatch(/^(?:There is no such task|task must be)[^.]*\.$/);
    }
    for (const args of [{}, { task: 5 }, { task: ["bcdf-ghjk-mnpq"] }, { task: null }]) {
      const result = await client.call("taskgate_result", args);
      expect([result.isError, textOf(result)]).toEqual([
        true,
        "task must be the text that the running tool named.",
      ]);
    }
  });

  test("hears what is wrong with how long to wait, and is lenient with the word", async () => {
    const { url, release } = await slow();
    const client = await connect(url);
    const task = String(nextOf(await client.call("report"))?.args.task);
    for (const waitSeconds of [-1, "soon", {}]) {
      const result = await client.call("taskgate_result", { task, waitSeconds });
      expect([result.isError, textOf(result)]).toEqual([
        true,
        "waitSeconds must be a number of seconds, 0 or more.",
      ]);
    }
    release();
    const loosely = { task: ` ${task.toUpperCase().replaceAll("-", " ")}`, waitSeconds: "9999" };
    expect(await client.call("taskgate_result", loosely)).toMatchObject(RESULT);
  });

  test("gets the result twice when it asks twice at once", async () => {
    const { url, release } = await slow({ policy: SOON });
    const client = await connect(url);
    const first = await client.call("report");
    const both = [follow(client, first), follow(client, first)];
    release();
    expect(await Promise.all(both)).toMatchObject([RESULT, RESULT]);
  });

  test("gets a failure of the tool as the tool's own", async () => {
    const failed = { content: [{ type: "text", text: "no paper" }], isError: true };
    const { url, release } = await slow({ policy: SOON }, failed);
    const client = await connect(url);
    const first = await client.call("report");
    release();
    expect(await follow(client, first)).toMatchObject(failed);
  });

  test("is served by a tool that requires tasks, too", async () => {
    const { url, release } = await slow({ policy: { ...SOON, mode: "required" } });
    const client = await connect(url);
    const { tools } = await client.list();
    expect(tools[0]?.execution?.taskSupport).not.toBe("required");
    const first = await client.call("report");
    release();
    expect(await follow(client, first)).toMatchObject(RESULT);
  });
});
