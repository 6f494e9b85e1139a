import { expect, test } from "vitest";
import { count, gate, INPUT, story } from "../support/story.ts";

const LONG = { "tools/call": () => undefined } as const;

test("a quick call is answered directly, whatever the client declares", async () => {
  const { user, client } = await story(
    { "tools/call": (call) => call.text("quick") },
    { policy: { waitForMs: 60_000 } },
  );
  for (const who of [user, client({ capabilities: {} })]) {
    expect(await who.callTool("t")).toMatchObject({ resultType: "complete", content: [{ text: "quick" }] });
  }
});

const MODES: [string, string | undefined][] = [
  ["a_never", "complete"],
  ["a_always", "task"],
  ["a_required", "task"],
  ["z/.any", "complete"],
];

test.each(MODES)("rules are globs, and the first that matches wins: %s", async (name, resultType) => {
  const { user } = await story(
    { "tools/call": (call) => call.text("quick") },
    {
      policy: { mode: "required", waitForMs: 60_000 },
      tools: [
        { match: "a_never", mode: "never" },
        { match: "*_always", mode: "always" },
        { match: "a_{required,other}", mode: "always" },
        { match: "*", mode: "auto" },
      ],
    },
  );
  expect((await user.callTool(name)).resultType).toBe(resultType);
});

test.each(["never", "observe"] as const)("%s means never, however long it takes", async (mode) => {
  const done = gate();
  const { user, server } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("done");
      },
    },
    { policy: { mode, waitForMs: 1 }, limits: { keepAliveMs: 20 } },
  );
  const response = await user.open("tools/call", { name: "t" });
  await server.arrival("tools/call");
  // The stream was opened for a comment, long after the window.
  expect(response.headers["content-type"]).toBe("text/event-stream");
  done.open();
  expect(await response.body.text()).toMatch(/^(:\n\n)+event: message\ndata: .*"done"/);
});

test.each(["auto", "always"] as const)(
  "a client without tasks waits for the result, in mode %s",
  async (mode) => {
    const done = gate();
    const { client, server } = await story(
      {
        "tools/call": async (call) => {
          await done.opened;
          call.text("done");
        },
      },
      { policy: { mode, waitForMs: 1 } },
    );
    const pending = client({ capabilities: INPUT }).callTool("t");
    await server.arrival("tools/call");
    done.open();
    expect(await pending).toMatchObject({ resultType: "complete" });
  },
);

test("required refuses a client without tasks, and the server is not called", async () => {
  const { client, server } = await story(LONG, { policy: { mode: "required" } });
  expect(await client({ capabilities: {} }).send("tools/call", { name: "t" })).toMatchObject({
    status: 400,
    message: {
      error: {
        code: -32021,
        data: { requiredCapabilities: { extensions: { "io.modelcontextprotocol/tasks": {} } } },
      },
    },
  });
  expect(count(server, "tools/call")).toBe(0);
});

test("the task parameter of an older revision is ignored and not passed on", async () => {
  const { user, server } = await story(
    { "tools/call": (call) => call.text("quick") },
    { policy: { waitForMs: 60_000 } },
  );
  const result = await user.callTool("t", {}, { params: { task: { ttl: 1 } } });
  expect(result.resultType).toBe("complete");
  expect((await server.arrival("tools/call")).message.params).not.toHaveProperty("task");
});
