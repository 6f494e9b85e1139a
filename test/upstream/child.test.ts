/** Server processes: how they start, and that nothing is left of them when they have ended. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { Child } from "../../src/upstream/transports/child.ts";
import { lifeline } from "../support/stdio-servers/lifeline.ts";
import { listeningLog } from "../support/stdio-servers/listening-log.ts";
import { children, processesOf, remaining } from "../support/stdio-servers/processes.ts";
import { script } from "../support/stdio-servers/scripts.ts";

const CALL = (name: string, args: object) =>
  `${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: args } })}\n`;

describe("a process that does not start is told of in plain words", () => {
  const silent = script("silent");
  test.each([
    [
      "a command that is nowhere",
      { command: "taskgate-no-such-command" },
      "command not found: taskgate-no-such-command",
    ],
    ["a path that leads nowhere", { command: "/nowhere/server" }, "command not found: /nowhere/server"],
    [
      "a path through a file",
      { command: `${import.meta.filename}/server` },
      /^command not found: .*\/server$/,
    ],
    ["a directory", { command: import.meta.dirname }, `not executable: ${import.meta.dirname}`],
    [
      "a file that may only be read",
      { command: import.meta.filename },
      `not executable: ${import.meta.filename}`,
    ],
    ["a cwd that does not exist", { cwd: "/nowhere" }, "cwd does not exist: /nowhere"],
    [
      "a cwd that is a file",
      { cwd: import.meta.filename },
      `cwd is not a directory: ${import.meta.filename}`,
    ],
    [
      "an argument without end",
      { args: ["x".repeat(4_000_000)] },
      /^arguments and environment are too long for /,
    ],
  ])("%s", async (_, options, message) => {
    const { log, lines } = listeningLog();
    await expect(Child.start({ ...silent, ...options, log })).rejects.toThrow(message);
    expect(lines.map(({ level, msg }) => ({ level, msg }))).toEqual([
      { level: 50, msg: expect.stringContaining("the server could not be started: ") },
    ]);
  });
});

describe("a process is ended", () => {
  test("by the end of its input, when that is enough", async () => {
    const child = await started({ ...script("silent"), goodbyeMs: 120_000 });
    await child.end();
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(await processesOf(child.pid)).toEqual([]);
  });

  test("by SIGTERM, when it goes on without input", async () => {
    const options = script("silent");
    const child = await started({ ...options, args: ["-e", "setInterval(() => {}, 60_000)"] });
    await child.end();
    expect(await child.exited).toEqual({ code: null, signal: "SIGTERM" });
    expect(await processesOf(child.pid)).toEqual([]);
  });

  test("by SIGKILL, when it ignores SIGTERM", async () => {
    const { port, held } = await lifeline();
    const child = await started(script("holds-on", String(port)));
    const { cut } = await held;
    expect(await processesOf(child.pid)).toHaveLength(1);
    await child.end();
    await cut;
    expect(await child.exited).toEqual({ code: null, signal: "SIGKILL" });
    expect(await processesOf(child.pid)).toEqual([]);
  });

  test("with what it has started", async () => {
    const { port, held } = await lifeline();
    const child = await started(script("odd-tools"));
    await child.input.write(CALL("fork", { port }));
    const { cut } = await held;
    expect(await processesOf(child.pid)).toHaveLength(2);
    await child.end();
    await cut;
    expect(await processesOf(child.pid)).toEqual([]);
  });

  test("however often it is said", async () => {
    const child = await started(script("silent"));
    expect(child.end()).toBe(child.end());
    await child.end();
  });
});

test("what a process leaves behind is ended without being asked for", async () => {
  const { port, held } = await lifeline();
  const { log, line } = listeningLog();
  const child = await started({ ...script("odd-tools"), log });
  await child.input.write(CALL("fork", { port }));
  const { cut } = await held;
  process.kill(child.pid, "SIGKILL");
  // The streams are still open at the other end: that the leader is gone is told all the same.
  expect(await child.exited).toEqual({ code: null, signal: "SIGKILL" });
  expect(await line("the server has exited")).toMatchObject({ signal: "SIGKILL" });
  await cut;
  await child.end();
  expect(await processesOf(child.pid)).toEqual([]);
});

test("what a process leaves behind, and nobody reaps once it has ended, is told of once", async () => {
  const { log, lines } = listeningLog();
  for (let times = 0; times < 2; times++) {
    const { port, held } = await lifeline();
    const args = ["-c", `perl -e '${neglectful(port)}' & exec sleep 1000`];
    const child = await started({ command: "sh", args, env: {}, log, goodbyeMs: 10, killGraceMs: 1_000 });
    const { cut, release } = await held;
    cut.catch(() => {});
    onTestFinished(release);
    await child.end();
    expect(await child.exited).toEqual({ code: null, signal: "SIGTERM" });
    expect((await processesOf(child.pid)).map(([, state = ""]) => state[0])).toEqual(["Z"]);
  }
  expect(lines.filter(({ level }) => level === WARN).map(({ msg }) => msg)).toEqual([
    expect.stringMatching(/^the server left processes behind .* docker run --init does$/),
  ]);
});

/** For perl: a parent that never asks how its child ended, as a container's first process may not, and that is out of its child's group. */
function neglectful(port: number): string {
  return [
    "use POSIX; use IO::Socket::INET;",
    "exit 0 unless fork; POSIX::setsid();",
    'open STDOUT, ">/dev/null"; open STDERR, ">/dev/null";',
    `my $life = IO::Socket::INET->new("127.0.0.1:${port}"); $life->sysread(my $x, 6);`,
  ].join(" ");
}

describe("a gateway takes its servers with it when it dies", () => {
  test("by an exception", async () => {
    const { exited, stdin, cut } = await gatewayWithChild();
    stdin.write("die\n");
    expect(await exited).toEqual([1, null]);
    await cut;
  });

  test.each([
    ["by SIGKILL", (pid: number) => pid],
    ["by SIGKILL for its whole group", (pid: number) => -pid],
  ])("%s", async (_name, target) => {
    const { pid, exited, cut } = await gatewayWithChild();
    const started = await children(pid);
    process.kill(target(pid), "SIGKILL");
    expect(await exited).toEqual([null, "SIGKILL"]);
    await cut;
    await expect.poll(() => remaining(started)).toEqual([]);
  });
});

test("whoever kills the watchdog finds another with the next server", async () => {
  const first = await started(script("silent"));
  const [watchdog] = (await children()).filter((pid) => pid !== first.pid);
  process.kill(Number(watchdog), "SIGKILL");
  await expect.poll(() => remaining([Number(watchdog)])).toEqual([]);
  const second = await started(script("silent"));
  expect((await children()).length).toBe(3);
  await Promise.all([first.end(), second.end()]);
  expect(await children()).toEqual([]);
});

test("nothing is left of an ended process in ours", async () => {
  const before = process.listenerCount("exit");
  const children = await Promise.all([started(script("silent")), started(script("silent"))]);
  expect(process.listenerCount("exit")).toBe(before + 1);
  await Promise.all(children.map((child) => child.end()));
  expect(process.listenerCount("exit")).toBe(before);
  expect(children.every(({ output }) => output.destroyed)).toBe(true);
});

describe("the environment", () => {
  test("is what every program needs, and what the configuration adds", async () => {
    process.env.TASKGATE_TEST_SECRET = "secret";
    onTestFinished(() => void delete process.env.TASKGATE_TEST_SECRET);
    const print = "console.log(JSON.stringify(process.env))";
    const child = await started({ ...script("silent"), args: ["-e", print], env: { REPORTS_KEY: "k" } });
    const environment = JSON.parse(await textOf(child));
    expect(environment).toMatchObject({ REPORTS_KEY: "k", PATH: process.env.PATH });
    expect(environment).not.toHaveProperty("TASKGATE_TEST_SECRET");
  });

  test("has the working directory that was wanted", async () => {
    const cwd = await mkdtemp(join(tmpdir(), "taskgate-child-"));
    onTestFinished(() => rm(cwd, { recursive: true, force: true }));
    await writeFile(join(cwd, "here.txt"), "found");
    const print = 'process.stdout.write(require("node:fs").readFileSync("here.txt"))';
    expect(await textOf(await started({ ...script("silent"), args: ["-e", print], cwd }))).toBe("found");
  });

  test("has no shell that reads the arguments", async () => {
    const print = "process.stdout.write(process.argv[1])";
    const child = await started({ ...script("silent"), args: ["-e", print, "$PATH; `id` *"] });
    expect(await textOf(child)).toBe("$PATH; `id` *");
  });
});

test("stderr goes to the log, up to the last line, which need not end", async () => {
  const { log, lines } = listeningLog();
  const print =
    'process.stderr.write("\\u001b[31mone\\u001b[0m\\r\\n\\ntwo\\nReportsError: no key"); process.exit(3)';
  const child = await started({ ...script("silent"), args: ["-e", print], log });
  expect(await child.exited).toEqual({ code: 3, signal: null });
  expect(child.lastWords).toBe("ReportsError: no key");
  const said = lines.filter(({ msg }) => msg === "the server says");
  expect(said.map(({ stderr, level }) => [level, stderr])).toEqual([
    [DEBUG, "one"],
    [DEBUG, "two"],
    [DEBUG, "ReportsError: no key"],
  ]);
});

test.each([
  [
    "with a code",
    "process.exit(3)",
    { code: 3, signal: null, stderr: ["two", "three", "four", "five", "six"] },
  ],
  ["by a signal", 'process.kill(process.pid, "SIGKILL")', { signal: "SIGKILL", stderr: expect.any(Array) }],
  ["in peace, which is nobody's affair", "process.exit(0)", { code: 0 }],
])("a server that ends %s is told with its last lines if that is a fault", async (_name, end, told) => {
  const { log, line } = listeningLog();
  const print = `process.stderr.write("one\\ntwo\\nthree\\nfour\\nfive\\nsix\\n", () => { ${end} }); setInterval(() => {}, 1000)`;
  const child = await started({ ...script("silent"), args: ["-e", print], log });
  await child.exited;
  const { time: _time, msg: _msg, level, ...said } = await line("the server has exited");
  expect([level, said]).toEqual([WARN, { signal: null, code: null, ...told }]);
});

/** As pino numbers them. */
const [DEBUG, WARN] = [20, 40];

async function started(options: Parameters<typeof Child.start>[0]): Promise<Child> {
  const child = await Child.start(options);
  onTestFinished(() => child.end());
  return child;
}

/** A process that has started one that ignores signals. */
async function gatewayWithChild() {
  const { port, held } = await lifeline();
  const path = fileURLToPath(new URL("../support/stdio-servers/dies-with-child.ts", import.meta.url));
  const args = ["--import", import.meta.resolve("tsx"), path, String(port)];
  const gateway = spawn(process.execPath, args, { detached: true });
  const exited = once(gateway, "exit");
  const { cut } = await held;
  return { pid: gateway.pid as number, stdin: gateway.stdin, exited, cut };
}

async function textOf({ output }: Child): Promise<string> {
  let text = "";
  for await (const chunk of output) text += chunk;
  return text;
}
