import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { taskName } from "../../src/log/task-name.ts";
import { VERBS } from "../../src/verbs.ts";
import { withoutPrograms } from "../support/required-programs.ts";
import { gate, story, textResult } from "../support/story.ts";
import { COMMAND, fileWith, run } from "./process.ts";

const MODES = ["never", "observe", "auto", "always", "required"];

/** What stands where the last word is, by name, as the shell gets it. */
async function completed(words: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await run(["--get-yargs-completions", "mcp-taskgate", ...words], env);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout.split("\n").slice(0, -1);
}

test("commands, flags of each, and what stands behind a flag", async () => {
  expect(await completed(["ta"])).toEqual(VERBS);
  const flags = (await run(["tasks", "--help"])).stdout.matchAll(/^ +(--[\w-]+)/gm);
  const ofTasks = [...flags].map(([, name]) => name);
  expect((await completed(["tasks", "--"])).toSorted()).toEqual(ofTasks.toSorted());
  expect(await completed(["--po"])).toEqual(expect.arrayContaining(["--port", "--help"]));
  expect(await completed(["http://a/", "--mode", ""])).toEqual(MODES);
  for (const command of ["tasks", "webhooks", "store"]) {
    const actions = await completed([command, ""]);
    // The command itself names those that there are.
    expect((await run([command, "none", "name"])).stderr).toContain(`: ${actions.join(", ")}\n`);
  }
  for (const of of await completed(["schema", ""])) expect((await run(["schema", of])).code).toBe(0);
  expect(await completed(["tasks", "list", "--status", ""])).toContain("input_required");
  expect(await completed(["wrap", "--client", ""])).toContain("claude-code");
  for (const words of [
    ["check", ""],
    ["--config", ""],
    ["--", "node", ""],
  ])
    expect(await completed(words), words.join(" ")).toEqual([]);
});

test("the servers of a file", async () => {
  const file = await fileWith("a.yaml", "servers: { reports: {}, search: {} }");
  expect(await completed(["stdio", "--config", file, "--server", ""])).toEqual(["reports", "search"]);
  expect(await completed(["stdio", file, "--server", ""])).toEqual(["reports", "search"]);
  expect(await completed(["stdio", "--config", "/no/such.yaml", "--server", ""])).toEqual([]);
});

test("the servers and tasks of a gateway that runs, and nothing of one that does not", async () => {
  const { opened, open } = gate();
  onTestFinished(() => open());
  const { user, gateway } = await story(
    {
      "tools/call": async (call) => {
        if (call.message.params?.name === "slow") await Promise.race([opened, call.cancelled]);
        call.json(textResult("done"));
      },
    },
    { admin: true, policy: { mode: "always" } },
  );
  const [quick, slow] = [await user.callTool("quick"), await user.callTool("slow")];
  await user.settled(quick.taskId);
  const names = [slow, quick].map(({ taskId }) => taskName(taskId));
  const env = { MCP_TASKGATE_ADMIN: gateway.adminUrl ?? "" };
  expect(await completed(["tasks", "show", ""], env)).toEqual(names);
  expect(await completed(["tasks", "cancel", ""], env)).toEqual(names.slice(0, 1));
  expect(await completed(["tasks", "list", "--server", ""], env)).toEqual(["tested"]);
  expect(await completed(["tasks", "--admin", env.MCP_TASKGATE_ADMIN, "show", ""])).toEqual(names);
  expect(await completed(["tasks", "show", ""], { MCP_TASKGATE_ADMIN: "http://127.0.0.1:1" })).toEqual([]);
  expect(await completed(["tasks", "show", ""])).toEqual([]);
});

test("a script for each shell, and none for others", async () => {
  const bash = await run(["completion"]);
  expect([bash.code, bash.stderr]).toEqual([0, ""]);
  expect(bash.stdout).toContain("mcp-taskgate completion >> ~/.bashrc");
  expect((await run(["completion", "bash"], { SHELL: "/bin/zsh" })).stdout).toBe(bash.stdout);
  const zsh = await run(["completion", "zsh"]);
  expect(zsh.stdout).toMatch(/^#compdef mcp-taskgate\n/);
  expect((await run(["completion"], { SHELL: "/bin/zsh" })).stdout).toBe(zsh.stdout);
  expect(await run(["completion", "tcsh"])).toEqual({
    code: 2,
    stdout: "",
    stderr: "error: give a shell: bash, zsh\n",
  });
});

describe.skipIf(withoutPrograms("completion in a shell", "bash"))("bash", () => {
  test("completes with the script", async () => {
    const program = await fileWith("mcp-taskgate", "");
    const words = [process.execPath, ...COMMAND].map((word) => `'${word}'`).join(" ");
    writeFileSync(program, `#!/bin/sh\nexec ${words} "$@"\n`);
    chmodSync(program, 0o755);
    const file = join(dirname(program), "a.yaml");
    writeFileSync(file, "servers: { reports: {}, search: {} }");
    const script = `
      source <(mcp-taskgate completion bash)
      COMP_WORDS=(mcp-taskgate stdio ${file} --server s) COMP_CWORD=4
      _mcp-taskgate_yargs_completions
      echo "\${COMPREPLY[@]}"
      COMP_WORDS=(mcp-taskgate su) COMP_CWORD=1
      _mcp-taskgate_yargs_completions
      echo "\${COMPREPLY[@]}"`;
    const PATH = `${dirname(program)}:${process.env.PATH}`;
    const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", script], {
      env: { PATH },
      encoding: "utf8",
    });
    expect([stdout, stderr]).toEqual(["search\nsuggest\n", ""]);
  });
});
