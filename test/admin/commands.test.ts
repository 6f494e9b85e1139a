import { expect, onTestFinished, test, vi } from "vitest";
import { taskName } from "../../src/log/task-name.ts";
import { launch, run } from "../cli/process.ts";
import { gate, story, textResult } from "../support/story.ts";

const TOKEN = "an-admin-token-of-the-tests";

test("an operator lists, shows, watches and cancels tasks, and sees the servers", async () => {
  const { opened, open } = gate();
  onTestFinished(() => open());
  const { user, gateway } = await story(
    {
      "tools/call": async (call) => {
        if (call.message.params?.name === "slow") await Promise.race([opened, call.cancelled]);
        call.json(textResult("done"));
      },
    },
    { admin: { token: TOKEN }, policy: { mode: "always" } },
  );
  const env = { MCP_TASKGATE_ADMIN: gateway.adminUrl ?? "", MCP_TASKGATE_ADMIN_TOKEN: TOKEN };
  const command = (...args: string[]) => run(args, env);
  expect((await command("tasks", "list")).stdout).toBe("no tasks\n");

  const watching = launch(["tasks", "watch", "--json"], env);
  await watching.said("watching");
  const hidden = "\u001b[2Jhidden";
  const quick = await user
    .callTool(hidden, {}, { headers: { "mcp-name": `=?base64?${btoa(hidden)}?=` } })
    .catch(() => undefined);
  const slow = await user.callTool("slow");
  const name = taskName(slow.taskId);
  await watching.printed(new RegExp(`("name":"${name}")`));

  const listed = await command("tasks", "list");
  expect(listed.stdout).toMatch(/^TASK +STATUS +TOOL +SERVER +CALLER +CREATED \(UTC\) +TOOK\n/);
  expect(listed.stdout).toMatch(new RegExp(`^${name} +working +slow +tested +anonymous +2`, "m"));
  expect(listed.stdout).not.toContain("\u001b");
  expect(listed.stdout).not.toContain(slow.taskId);
  expect(quick === undefined || listed.stdout.includes("\\u001b")).toBe(true);
  const json = JSON.parse(
    (await command("tasks", "list", "--tool", "slow", "--limit", "1", "--json")).stdout,
  );
  expect(json.tasks).toMatchObject([{ name, status: "working" }]);

  // The line that a call is sent is written along with the next thing that is, and within five seconds.
  await vi.waitUntil(async () => / sent\b/.test((await command("tasks", "show", name)).stdout), {
    timeout: 60_000,
    interval: 500,
  });
  expect((await command("tasks", "show", name)).stdout).toMatch(
    new RegExp(
      `^${name}  slow \\(tested\\), of anonymous, at gateway \\S+\nworking; .*\n  2.*created\n  2.*sent`,
    ),
  );
  const servers = await command("servers");
  expect(servers.stdout).toMatch(/^SERVER +STATE .* P95 LAST HOUR +OLDEST CALL +AT\n/);
  expect(servers.stdout).toMatch(/^tested +up .* asking .* (?:ms|s|min) +http/m);
  expect(servers.stdout).toMatch(/^\S+ +answers /m);
  expect(await command("tasks", "cancel", name)).toMatchObject({
    code: 0,
    stdout: `${name} (slow) is cancelled\n`,
  });
  expect((await command("tasks", "show", name)).stdout).toMatch(/^why: Cancelled by the operator$/m);
  expect((await command("tasks", "show", slow.taskId)).stdout).toContain(`${name}  slow`);
  const again = await command("tasks", "cancel", name);
  expect(again).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("has ended already") });
  watching.signal("SIGINT");
  expect((await watching.finished).code).toBe(0);
});

test.each([
  [
    "without an address",
    ["tasks", "list"],
    {},
    2,
    /^error: --admin: must be the address of the admin listener/,
  ],
  [
    "with none that is one",
    ["tasks", "list", "--admin", "http://"],
    {},
    2,
    /^error: --admin: must be http or https/,
  ],
  [
    "with one of another kind",
    ["tasks", "list", "--admin", "ftp://127.0.0.1:1"],
    {},
    2,
    /^error: --admin: must be http or https/,
  ],
  [
    "with a password in it, which they do not repeat",
    ["tasks", "list", "--admin", "http://ada:a-secret@127.0.0.1:1"],
    {},
    2,
    /^error: --admin: must be http or https without a user or password, such as http:\/\/127\.0\.0\.1:9090\n$/,
  ],
  ["without an action", ["tasks", "tasks"], {}, 2, /^error: give an action: list, show, watch, cancel/],
  ["without a name", ["tasks", "show"], {}, 2, /^error: give the name of a task: tasks show NAME/],
  ["with a name too many", ["tasks", "list", "x"], {}, 2, /^error: tasks list takes no name/],
  [
    "with no number",
    ["tasks", "list", "--limit", "0"],
    { MCP_TASKGATE_ADMIN: "127.0.0.1:1" },
    2,
    /^error: --limit: must be a whole number/,
  ],
  [
    "with no duration",
    ["tasks", "list", "--max-age", "soon"],
    { MCP_TASKGATE_ADMIN: "127.0.0.1:1" },
    2,
    /^error: --max-age: must be a duration/,
  ],
  [
    "where nobody is",
    ["servers", "--admin", "127.0.0.1:1"],
    {},
    3,
    /^error: nobody answers at http:\/\/127.0.0.1:1 \(.+\)/,
  ],
  [
    "with a variable that is not set",
    ["servers", "--admin", "127.0.0.1:1", "--token-from", "NONE"],
    {},
    2,
    /^error: --token-from: must be the name/,
  ],
])("%s they say what is missing", async (_, args, env, code, message) => {
  const finished = await run(args, env as Record<string, string>);
  expect(finished).toMatchObject({ code, stdout: "" });
  expect(finished.stderr).toMatch(message);
});
