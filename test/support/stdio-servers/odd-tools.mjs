// Behaves until it is called; each tool is another way not to.

import { spawn } from "node:child_process";
import { closeSync, writeSync } from "node:fs";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { print, serve } from "./server.mjs";

const text = (id, said) => ({ jsonrpc: "2.0", id, result: { content: [{ type: "text", text: said }] } });

serve({
  echo: ({ text }) => text,
  variable: ({ name }) => process.env[name] ?? "unset",
  directory: () => process.cwd(),
  exit: ({ code, say }) => {
    if (say !== undefined) process.stderr.write(`${say}\n`);
    process.exit(code);
  },
  throw: ({ say }) => {
    throw new Error(say);
  },
  kill: ({ signal }) => {
    process.kill(process.pid, signal);
  },
  /** Answers, and is gone before anything else can be asked. */
  leave: (_, { id }) => {
    writeSync(1, `${JSON.stringify(text(id, "goodbye"))}\n`);
    process.exit(0);
  },
  large: ({ bytes }) => "x".repeat(bytes),
  endless: ({ bytes }) => {
    process.stdout.write("x".repeat(bytes));
  },
  flood: ({ lines }) => {
    for (let line = 0; line < lines; line++) process.stderr.write(`line ${line} of ${lines}\n`);
    return "flooded";
  },
  "foreign-id": (_, { id }) => {
    print(text(`not-${id}`, "theirs"));
    print(text(1_000_000, "nobody's"));
    return "yours";
  },
  batch: (_, { id }) => {
    const progress = (n) => ({
      jsonrpc: "2.0",
      method: "notifications/progress",
      params: { progressToken: id, progress: n },
    });
    print([progress(1), { not: "a message" }, progress(2), text(id, "batched")]);
  },
  chatter: () => {
    process.stdout.write('Working on it…\n\n{"level":30,"msg":"half way"}\n');
    return "chatted";
  },
  /** Lives on, and has nothing to say any more. Node itself keeps the descriptors of standard streams open. */
  "close-output": () => {
    setInterval(() => {}, 60_000);
    closeSync(1);
  },
  "close-input": () => {
    setInterval(() => {}, 60_000);
    process.stdin.destroy();
    closeSync(0);
    return "closed";
  },
  "stop-answering": () => {},
  "stop-reading": () => {
    setInterval(() => {}, 60_000);
    process.stdin.pause();
    return "deaf from now on";
  },
  /** Starts a process that shares its streams, and does not end with it. */
  fork: ({ port }) => {
    const script = fileURLToPath(new URL("holds-on.mjs", import.meta.url));
    spawn(process.execPath, [script, String(port)], { stdio: "inherit" });
    return "forked";
  },
  /** Tells the port of the signals that come, and ends with the first SIGINT. */
  "heed-signals": ({ port }) => {
    const connection = connect(port, "127.0.0.1");
    process.on("SIGTERM", () => connection.write("SIGTERM "));
    process.on("SIGINT", () => connection.end("SIGINT ", () => process.exit(0)));
    return new Promise((resolve) => connection.on("connect", () => resolve("heeding")));
  },
  /** Answers when the port has told it to. */
  released: ({ port }) =>
    new Promise((resolve) => {
      const connection = connect(port, "127.0.0.1");
      connection.on("data", () => resolve("released"));
    }),
  pid: () => String(process.pid),
});
