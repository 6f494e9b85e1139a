/** `call` as a program, in front of real servers. */

import { describe, expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import { metaOf, STATELESS } from "../support/modern-server.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { expectCancelled, gate, story, textResult } from "../support/story.ts";
import { launch, run } from "./process.ts";

const ALWAYS = { policy: { mode: "always" } } as const;
const TASK = /^The call runs as task \S+; Ctrl-C cancels it\.\n/;

async function jobs(settings: Partial<Parameters<typeof gatewayFor>[0]> = {}): Promise<string> {
  const server = await startLegacyTasksServer();
  onTestFinished(server.close);
  return (await gatewayFor({ upstream: server.url, ...settings })).url.href;
}

test("prints the result of a quick call, and nothing else", async () => {
  const args = ["call", await jobs(), "greet", "--args", '{"name":"Ada"}'];
  expect(await run(args)).toEqual({ code: 0, stdout: "Hello, Ada!\n", stderr: "" });
  const { code, stdout } = await run([...args, "--json"]);
  expect([code, JSON.parse(stdout).content]).toEqual([0, [{ type: "text", text: "Hello, Ada!" }]]);
});

test("a reader that has read enough is no error", async () => {
  const program = launch(["call", await jobs(), "greet", "--args", '{"name":"Ada"}']);
  program.closeOutput();
  expect(await program.finished).toEqual({ code: 0, stdout: "", stderr: "" });
});

test("waits for a task, and shows how far it is", async () => {
  const { opened, open } = gate();
  const { url } = await story(
    {
      "tools/call": async (call) => {
        const progressToken = metaOf(call).progressToken;
        const stream = call.sse();
        stream.notify("notifications/progress", {
          progressToken,
          progress: 1,
          total: 4,
          message: "weighing",
        });
        await opened;
        stream.event(call.answer(textResult("four stones"))).end();
      },
    },
    ALWAYS,
  );
  const program = launch(["call", url.href, "weigh"]);
  await program.said("[#####---------------]  25 % weighing (1 of 4)\n");
  open();
  const { code, stdout, stderr } = await program.finished;
  expect([code, stdout]).toEqual([0, "four stones\n"]);
  expect(stderr).toMatch(TASK);
});

describe.each([
  ["in a task", ALWAYS],
  ["in rounds", { policy: { waitForMs: 60_000 } }],
])("a question %s", (_, settings) => {
  test("is asked at the prompt until the answer is of its type", async () => {
    const args = ["call", await jobs(settings), "confirm_delete", "--args", '{"filename":"a.txt"}'];
    const { code, stdout, stderr } = await launch(args, {}, "perhaps\nyes\n").finished;
    expect([code, stdout]).toEqual([0, "Deleted a.txt\n"]);
    expect(stderr).toContain(
      "The server asks: Really delete a.txt?\n  confirm:   must be yes or no\n  confirm: ",
    );
  });

  test("is cancelled where nobody can answer", async () => {
    const args = ["call", await jobs(settings), "confirm_delete", "--args", '{"filename":"a.txt"}'];
    expect(await run(args)).toMatchObject({ code: 0, stdout: "Kept a.txt\n" });
  });
});

test.each([
  ["a tool that fails", "failing_job", { stdout: "The job has failed, as it always does\n" }],
  [
    "an error of the server",
    "protocol_error_job",
    { stderr: expect.stringContaining("The job has broken down") },
  ],
  ["a tool that is not there", "nonsense", { stderr: "error: MCP error -32602: Unknown tool: nonsense\n" }],
])("%s is exit code 1", async (_, tool, told) => {
  expect(await run(["call", await jobs(), tool])).toMatchObject({ code: 1, ...told });
});

test("a server that is not there is exit code 3, and so is one of an older revision", async () => {
  const nobody = await run(["call", "http://127.0.0.1:9/mcp", "t"]);
  expect(nobody).toMatchObject({
    code: 3,
    stdout: "",
    stderr: "error: The server cannot be reached (ECONNREFUSED)\n",
  });
  const server = await startLegacyTasksServer();
  onTestFinished(server.close);
  const { code, stderr } = await run(["call", server.url.href, "greet"]);
  expect([code, stderr]).toEqual([3, expect.stringContaining("in front of it, mcp-taskgate URL does")]);
});

test.each([
  [
    "no tool",
    ["http://127.0.0.1:9/mcp"],
    "an argument is missing: mcp-taskgate call <url> <tool> (see mcp-taskgate call --help)",
  ],
  [
    "arguments that are no object",
    ["http://127.0.0.1:9/mcp", "t", "--args", "[1]"],
    "--args: must be one JSON object",
  ],
  ["no URL", ["server.js", "t"], "URL: "],
  ["a header without its name", ["http://127.0.0.1:9/mcp", "t", "--header", "secret"], "--header"],
])("%s is exit code 2", async (_, args, told) => {
  const { code, stderr } = await run(["call", ...args]);
  expect([code, stderr]).toEqual([2, expect.stringContaining(told)]);
});

test("headers go with every request, filled in from the environment", async () => {
  const { url, server } = await story(
    { "tools/call": (call) => call.text("done") },
    { forwardHeaders: ["x-team"] },
  );
  const args = ["call", url.href, "t", "--header", `X-Team: $\{TEAM}`];
  expect(await run(args, { TEAM: "red" })).toMatchObject({ code: 0, stdout: "done\n" });
  expect((await server.arrival("tools/call")).headers["x-team"]).toBe("red");
});

test("Ctrl-C cancels the task at the server", async () => {
  const { url, server } = await story({ "tools/call": () => {} }, ALWAYS);
  const program = launch(["call", url.href, "t"]);
  await program.said("The call runs as task");
  const call = await server.arrival("tools/call");
  program.signal("SIGINT");
  const { code, stderr } = await program.finished;
  expect([code, stderr]).toEqual([130, expect.stringMatching(/interrupted: the call is cancelled\n$/)]);
  await expectCancelled(server, call);
});

test("Ctrl-C before the server has said what it is ends it, and says that nothing was called", async () => {
  const server = await startScriptedServer({ "server/discover": () => {} }, STATELESS);
  onTestFinished(server.close);
  const program = launch(["call", server.url.href, "t"]);
  await server.arrival("server/discover");
  program.signal("SIGINT");
  expect(await program.finished).toMatchObject({ code: 130, stderr: "interrupted: nothing was called\n" });
});
