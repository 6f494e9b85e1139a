/** Sessions over stdio with servers that do not behave: every way out is told, and nothing is left. */

import { describe, expect, onTestFinished, test } from "vitest";
import type { UpstreamFailure } from "../../src/upstream/failure.ts";
import { StdioTransport } from "../../src/upstream/transports/stdio.ts";
import { lifeline } from "../support/stdio-servers/lifeline.ts";
import { listeningLog } from "../support/stdio-servers/listening-log.ts";
import { opened } from "../support/stdio-servers/opened.ts";
import { processesOf } from "../support/stdio-servers/processes.ts";
import { script } from "../support/stdio-servers/scripts.ts";

const MB = 1_000_000;

describe("a session does not open", () => {
  test.each([
    [
      "when there is no such command",
      { ...script("silent"), command: "taskgate-no-such-command" },
      "The server could not be started: command not found: taskgate-no-such-command",
    ],
    [
      "when the server exits at once",
      script("exits-at-once"),
      "The server exited with code 1 before it answered initialize: REPORTS_KEY is not set",
    ],
    [
      "when the server exits without a word",
      { ...script("silent"), args: ["-e", ""] },
      "The server exited with code 0 before it answered initialize",
    ],
    [
      "when the server prints without end",
      {
        ...script("silent"),
        args: ["-e", "setInterval(() => process.stdout.write('x'.repeat(60_000)))"],
        maxMessageBytes: MB,
      },
      "The server sent more than 1000000 bytes in one line before it answered initialize",
    ],
    [
      "when the server has closed its output",
      { ...script("silent"), args: ["-e", "setInterval(() => {}, 60_000); require('node:fs').closeSync(1)"] },
      "The server closed its output before it answered initialize",
    ],
  ])("%s", async (_, options, message) => {
    const failure = await opened(options).catch((error: UpstreamFailure) => error);
    const facts = { mayHaveRun: false, hasStarted: false };
    expect(failure).toMatchObject({ name: "UpstreamFailure", message, facts });
  });

  test("when the server answers with an id that nobody has asked under", async () => {
    const answer = JSON.stringify({ jsonrpc: "2.0", id: 999, result: { protocolVersion: "2025-11-25" } });
    const options = {
      ...script("silent"),
      args: ["-e", `process.stdin.once("data", () => console.log('${answer}'))`],
    };
    await expect(opened(options, { startTimeoutMs: 300 })).rejects.toMatchObject({
      message: "The server did not answer initialize within 300 ms (startTimeout)",
      facts: { mayHaveRun: false, hasStarted: false },
    });
  });

  test("when it is closed because the server never answers", async () => {
    const wire = new StdioTransport(script("silent"));
    const { ended } = wire.ask({ jsonrpc: "2.0", id: 1, method: "initialize" });
    const outcome = expect(ended).rejects.toThrow("The session with the server was closed");
    await wire.close();
    await outcome;
  });
});

describe("a call fails with what happened to the server", () => {
  test.each([
    [
      "it exits",
      "exit",
      { code: 3, say: "disk full" },
      "The server exited with code 3 in the middle of the call: disk full",
    ],
    [
      "it exits without a word",
      "exit",
      { code: 0 },
      "The server exited with code 0 in the middle of the call",
    ],
    [
      "it throws",
      "throw",
      { say: "forgotten" },
      "The server exited with code 1 in the middle of the call: Error: forgotten",
    ],
    [
      "it is killed",
      "kill",
      { signal: "SIGKILL" },
      "The server was killed by SIGKILL in the middle of the call",
    ],
    ["it closes its output", "close-output", {}, "The server closed its output in the middle of the call"],
    [
      "it prints without end",
      "endless",
      { bytes: 3 * MB },
      "The server sent more than 2000000 bytes in one line in the middle of the call",
    ],
    [
      "its answer is too large",
      "large",
      { bytes: 2 * MB },
      "The server sent more than 2000000 bytes in one line in the middle of the call",
    ],
  ])("%s", async (_, tool, args, message) => {
    const { call, text, lost, session } = await opened({ ...script("odd-tools"), maxMessageBytes: 2 * MB });
    const group = Number(await text("pid"));
    const failure = await call(tool, args).catch((error: UpstreamFailure) => error);
    expect(failure).toMatchObject({ name: "UpstreamFailure", message, facts: { mayHaveRun: true } });
    await lost();
    expect(session.isUsable).toBe(false);
    await session.close();
    expect(await processesOf(group)).toEqual([]);
  });

  test("all calls of the session do", async () => {
    const { call, text } = await opened(script("odd-tools"));
    await text("echo", { text: "ready" });
    const calls = [call("stop-answering"), call("exit", { code: 9 })];
    const failed = { status: "rejected", reason: { message: expect.stringContaining("code 9") } };
    expect(await Promise.allSettled(calls)).toMatchObject([failed, failed]);
  });
});

test("a server that exits while nobody calls loses the session, and the next call has not run", async () => {
  const { text, lost, session, call } = await opened(script("odd-tools"));
  expect(await text("leave")).toBe("goodbye");
  await lost();
  expect(session.isUsable).toBe(false);
  const failure = await call("echo").catch((error: UpstreamFailure) => error);
  expect(failure).toMatchObject({ message: "The server exited with code 0", facts: { mayHaveRun: false } });
});

describe("a server that does not read", () => {
  test("fails the call that does not fit into the pipe", async () => {
    const { text, call } = await opened({ ...script("odd-tools"), readPatienceMs: 200 });
    expect(await text("stop-reading")).toBe("deaf from now on");
    const failure = await call("echo", { text: "x".repeat(2 * MB) }).catch((error: UpstreamFailure) => error);
    expect(failure).toMatchObject({
      message: "The server has not read what it was sent within 200 ms",
      facts: { mayHaveRun: true },
    });
  });

  test("fails at once what comes after too much", async () => {
    const { text, call } = await opened(script("odd-tools"));
    expect(await text("stop-reading")).toBe("deaf from now on");
    void call("echo", { text: "x".repeat(2 * MB) }).catch(() => {});
    const failure = await call("echo", { text: "more" }).catch((error: UpstreamFailure) => error);
    expect(failure).toMatchObject({
      message: expect.stringMatching(/^The server does not read what it is sent: \d{7} bytes are waiting$/),
      facts: { mayHaveRun: false },
    });
  });

  test("because it has closed its input, fails the call that finds out", async () => {
    const { text, call, lost } = await opened(script("odd-tools"));
    expect(await text("close-input")).toBe("closed");
    await expect(call("echo")).rejects.toThrow("The server closed its input in the middle of the call");
    await lost();
  });
});

/** As pino numbers them. */
const [DEBUG, WARN] = [20, 40];

describe("a server goes on", () => {
  test("that greets on stdout, which is said once", async () => {
    const { log, lines, line } = listeningLog();
    const { text, garbage } = await opened({ ...script("greets"), log });
    expect(await text("echo", { text: "hello" })).toBe("hello");
    const said = "the server writes what is no message to stdout; it is ignored";
    expect(await line(said)).toEqual({ level: WARN, time: expect.any(Number), msg: said, bytes: 21 });
    expect(lines.find(({ stdout }) => stdout !== undefined)).toMatchObject({
      level: DEBUG,
      stdout: "  Reports server 1.0\r",
    });
    expect(garbage).toEqual([
      'expected a JSON-RPC message on stdout, got "  Reports server 1.0\\r"',
      'expected a JSON-RPC message on stdout, got "{ not json }"',
    ]);
    expect(lines.filter(({ stdout }) => stdout !== undefined)).toHaveLength(1);
  });

  test("that talks while it works", async () => {
    const { text, garbage } = await opened(script("odd-tools"));
    expect(await text("chatter")).toBe("chatted");
    expect(garbage).toHaveLength(2);
  });

  test("that answers what nobody asked", async () => {
    const { text } = await opened(script("odd-tools"));
    expect(await text("foreign-id")).toBe("yours");
  });

  test("that answers in a batch", async () => {
    const { call, garbage } = await opened(script("odd-tools"));
    const progress: number[] = [];
    const onProgress = (step: { readonly progress: number }) => void progress.push(step.progress);
    expect(await call("batch", {}, { onProgress })).toMatchObject({
      result: { content: [{ text: "batched" }] },
    });
    expect(progress).toEqual([1, 2]);
    expect(garbage).toHaveLength(1);
  });

  test("that floods stderr", async () => {
    const { log, lines, line } = listeningLog();
    const { text } = await opened({ ...script("odd-tools"), log });
    expect(await text("flood", { lines: 20_000 })).toBe("flooded");
    expect(await text("echo", { text: "still there" })).toBe("still there");
    expect(await line("the server says")).toMatchObject({ stderr: "line 0 of 20000" });
    expect(lines.length).toBeLessThan(20_000);
  });

  test("that answers with 50 MB in one line", async () => {
    const { text } = await opened(script("odd-tools"));
    const answer = await text("large", { bytes: 50 * MB });
    expect(String(answer).length).toBe(50 * MB);
  });
});

describe("a session is closed", () => {
  test("with every process of its server, whatever they do", async () => {
    const { port, held } = await lifeline();
    const { session, text } = await opened(script("odd-tools"));
    const group = Number(await text("pid"));
    await text("fork", { port });
    const { cut } = await held;
    expect(await processesOf(group)).toHaveLength(2);
    await session.close();
    await cut;
    expect(await processesOf(group)).toEqual([]);
  });

  test("without being lost", async () => {
    let losses = 0;
    const wire = new StdioTransport(script("odd-tools"));
    wire.onLost = () => {
      losses += 1;
    };
    wire.setProtocolVersion();
    await Promise.all([wire.close(), wire.close()]);
    expect(losses).toBe(0);
    await expect(wire.tell({ jsonrpc: "2.0", method: "x" })).rejects.toThrow("was closed");
    await expect(wire.ask({ jsonrpc: "2.0", id: 1, method: "x" }).ended).rejects.toMatchObject({
      facts: { mayHaveRun: false },
    });
  });

  test("although its server never started", async () => {
    const wire = new StdioTransport({ ...script("silent"), command: "taskgate-no-such-command" });
    onTestFinished(() => wire.close());
    await expect(wire.tell({ jsonrpc: "2.0", method: "x" })).rejects.toThrow("could not be started");
    await wire.close();
  });
});
