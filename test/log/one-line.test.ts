import { expect, test } from "vitest";
import { createLog } from "../../src/log/log.ts";
import { loggable, loggableDetails } from "../../src/log/one-line.ts";

test.each([
  ["render_report", "render_report"],
  ["ünïcode \u{1f600}", "ünïcode \u{1f600}"],
  ["\u009b31mred", "\\u009b31mred"],
  ["\u001b[2J", "\\u001b[2J"],
  ["a\r\nb\u0000\u007f", "a\\u000d\\u000ab\\u0000\\u007f"],
  ["abc\u202edcba", "abc\\u202edcba"],
  ["a\u2028b\u2066c\ufeff", "a\\u2028b\\u2066c\\ufeff"],
  ["x".repeat(101), `${"x".repeat(100)}… (101 characters)`],
  ["\u009b".repeat(1_000_000), `${"\\u009b".repeat(100)}… (1000000 characters)`],
])("%j is shown as %j", (text, shown) => {
  expect(loggable(text, 100)).toBe(shown);
});

test("of details the texts are shown so, in lists as well, and nothing else is changed", () => {
  const err = new Error("no");
  expect(loggableDetails({ tool: "a\u009b", tasks: ["\u0085"], count: 1, err }, 10)).toEqual({
    tool: "a\\u009b",
    tasks: ["\\u0085"],
    count: 1,
    err,
  });
});

test("a line of the log is bounded and has no control characters, whatever it is about", () => {
  const lines: string[] = [];
  const log = createLog("info", { write: (line) => void lines.push(line) });
  const long = `\u009b${"x".repeat(1_000_000)}`;
  log.info({ method: long, err: new Error("kept") }, long);
  log.child({ route: "a" }).warn(long);
  expect(lines).toHaveLength(2);
  for (const line of lines) {
    expect(line.length).toBeLessThan(10_000);
    expect(line).not.toMatch(/[\u007f-\u009f]/);
  }
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ err: { message: "kept" } });
});
