/** What of a server's stderr reaches the log, and what of it says why the server has gone. */

import { describe, expect, test } from "vitest";
import { masked, secretsInEnvironment } from "../../src/upstream/transports/masked.ts";
import { StderrLog } from "../../src/upstream/transports/stderr-log.ts";
import { listeningLog } from "../support/stdio-servers/listening-log.ts";

describe("of a flood", () => {
  test("the beginning of each second is kept, and the rest is counted", () => {
    const { stderr, said, pass } = listened();
    write(stderr, 1, 250);
    pass(999);
    write(stderr, 251, 300);
    pass(1);
    write(stderr, 301, 302);
    expect(said()).toEqual([...numbers(1, 100), "200 left out", "301", "302"]);
  });

  test("the rest is counted at the latest when it is over", () => {
    const { stderr, said } = listened();
    write(stderr, 1, 101);
    expect(said()).toEqual(numbers(1, 100));
    stderr.end();
    stderr.end();
    expect(said()).toEqual([...numbers(1, 100), "1 left out"]);
  });

  test("what was said last is known, logged or not", () => {
    const { stderr } = listened();
    write(stderr, 1, 500);
    stderr.take(Buffer.from("out of memory\n"));
    expect(stderr.lastWords).toBe("out of memory");
  });
});

test("a line without end is cut once, and the next is whole", () => {
  const { stderr, said } = listened();
  for (let kb = 0; kb < 100; kb++) stderr.take(Buffer.from("x".repeat(1_024)));
  stderr.take(Buffer.from("\nnext\n"));
  expect(said()).toEqual([`${"x".repeat(4_096)}…`, "next"]);
});

describe("the last words are", () => {
  test.each([
    ["none, of a server that was silent", "", undefined],
    ["none, of a server that printed a rule", "-----\n", undefined],
    [
      "the error, not its stack, of a Node program",
      "/x.js:1\nthrow new Error()\n      ^\n\nError: no key\n    at x.js:1:7 {\n  code: 'E'\n}\n\nNode.js v20.20.2\n",
      "Error: no key",
    ],
    [
      "the error at the end of a Python trace",
      'Traceback (most recent call last):\n  File "x.py", line 1\n    x()\nKeyError: no key\n',
      "KeyError: no key",
    ],
    ["without their colours", "\u001b[1;31mfatal\u001b[0m: no key\n", "fatal: no key"],
    ["in any script", "ошибка: нет ключа\n", "ошибка: нет ключа"],
    ["no longer than they need be", `${"long ".repeat(100)}\n`, "long ".repeat(40)],
  ])("%s", (_, written, lastWords) => {
    const { stderr } = listened();
    stderr.take(Buffer.from(written));
    stderr.end();
    expect(stderr.lastWords).toBe(lastWords);
  });
});

function listened() {
  let now = 5_000;
  const { log, lines } = listeningLog();
  return {
    stderr: new StderrLog(log, [], () => now),
    /** Moves the clock. */
    pass: (ms: number) => {
      now += ms;
    },
    said: () => lines.map(({ stderr, lines }) => (lines === undefined ? stderr : `${lines} left out`)),
  };
}

function numbers(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, index) => String(first + index));
}

function write(stderr: StderrLog, first: number, last: number): void {
  stderr.take(Buffer.from(`${numbers(first, last).join("\n")}\n`));
}

test("every variable but the ordinary ones is taken for a secret", () => {
  const env = {
    PATH: "/usr/local/bin",
    HOME: "/home/somebody",
    Path: "C:\\Windows",
    DB: "db://user:password",
    LC_ALL: "C.UTF-8-long",
    npm_package_json: "/home/somebody/server.js",
  };
  const line = `/home/somebody/server.js cannot reach db://user:password; PATH is /usr/local/bin`;
  expect(masked(line, secretsInEnvironment(env))).toBe(
    "/home/somebody/server.js cannot reach …; PATH is /usr/local/bin",
  );
});
