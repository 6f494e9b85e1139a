/** `inspect` as a program. */

import { describe, expect, test } from "vitest";
import { everything } from "../peers/peers.ts";
import { startEverything } from "../support/everything-process.ts";
import { lifeline } from "../support/stdio-servers/lifeline.ts";
import { script } from "../support/stdio-servers/scripts.ts";
import { fileWith, launch, run } from "./process.ts";

const { PATH = "" } = process.env;

test("prints a file that check is content with", async () => {
  const { code, stdout, stderr } = await run(["inspect", (await startEverything("2025.12.18")).href]);
  expect([code, stderr]).toEqual([0, ""]);
  const file = await fileWith("found.yaml", stdout);
  expect(await run(["check", "--config", file])).toEqual({ code: 0, stdout: "ok: 1 server\n", stderr: "" });
});

test("takes what stands behind -- for the command of the server", async () => {
  const command = ["node", everything("2025.12.18", "stdio")];
  const { code, stdout } = await run(["inspect", "--json", "--", ...command], { PATH });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ target: command.join(" "), transport: "stdio" });
});

test.each<[string, readonly string[], string]>([
  ["neither a URL nor a command", [], "URL: is needed: give a URL, or -- COMMAND"],
  [
    "a URL and a command",
    ["http://a/", "--", "node"],
    "URL: is one server, and the command behind -- another: give a URL, or -- COMMAND",
  ],
  ["what is no URL", ["localhost"], 'URL: must be http or https, got "localhost"'],
  ["a header that is none", ["http://a/", "--header", "x"], '--header: must look like "Name: value"'],
  [
    "a variable that is not set",
    ["http://a/", "--header", `X-Key: $\{KEY}`],
    "--header X-Key: the environment variable KEY is not set",
  ],
  [
    "a time without a unit",
    ["http://a/", "--timeout", "5"],
    '--timeout: must be a duration with a unit such as "250ms", "1h" or "2d"',
  ],
])("%s: exit code 2", async (_, args, problem) => {
  expect(await run(["inspect", ...args])).toEqual({ code: 2, stdout: "", stderr: `error: ${problem}\n` });
});

test("what a server says does nothing to the terminal", async () => {
  const error = JSON.stringify({ code: -1, message: "no \u001b[31mroom\u0007" });
  const answer = `JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(line).id, error: ${error} })`;
  const code = `process.stdin.once("data", (line) => console.log(${answer}))`;
  const { stderr } = await run(["inspect", "--", "node", "-e", code], { PATH });
  expect(stderr).toBe("error: node cannot be inspected: The server refused initialize: no  [31mroom \n");
});

describe("Ctrl-C", () => {
  test("ends it, and the server that was started", async () => {
    const { port, held } = await lifeline();
    const { command, args } = script("holds-on", String(port));
    const inspecting = launch(["inspect", "--", command, ...args]);
    const { cut } = await held;
    inspecting.signal("SIGINT");
    expect(await inspecting.finished).toMatchObject({
      code: 130,
      stdout: "",
      stderr: "error: interrupted\n",
    });
    await cut;
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "and %s are what it says, though the server ends at once",
    async (signal) => {
      const { port, held } = await lifeline();
      const code = `require("net").connect(${port}, "127.0.0.1"); process.stdin.on("end", process.exit).resume();`;
      const inspecting = launch(["inspect", "--", process.execPath, "-e", code]);
      const { cut } = await held;
      inspecting.signal(signal);
      const finished = { code: 130, stdout: "", stderr: "error: interrupted\n" };
      expect(await inspecting.finished).toMatchObject(finished);
      await cut;
    },
  );
});
