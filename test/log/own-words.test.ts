import { pino } from "pino";
import { expect, test } from "vitest";
import { inOwnWords } from "../../src/log/own-words.ts";
import { UpstreamFailure } from "../../src/upstream/failure.ts";

const SECRET = "what-nobody-is-to-read";

function logged(err: unknown): { readonly err: Record<string, unknown>; readonly text: string } {
  const lines: string[] = [];
  inOwnWords(pino({ level: "info" }, { write: (line: string) => void lines.push(line) })).info({ err }, "x");
  return { err: JSON.parse(lines.join("")).err, text: lines.join("") };
}

test.each<[string, unknown, string | undefined]>([
  ["an error of ours", new Error("the store is away"), "the store is away"],
  [
    "what a server said",
    new UpstreamFailure(`The server answered HTTP 500: ${SECRET}`, { mayHaveRun: true }),
    "The server answered HTTP 500",
  ],
  [
    "facts of it",
    new UpstreamFailure("It refused", { mayHaveRun: true, wwwAuthenticate: SECRET }),
    "It refused",
  ],
  ["a text that cannot be read", parseError(`{"a": ${SECRET}}`), undefined],
  ["what came instead", new Error(`expected a message, got "${SECRET}"`), "expected a message"],
  [
    "what hangs on an error",
    Object.assign(new Error("no"), { data: SECRET, headers: { authorization: SECRET } }),
    "no",
  ],
  ["a cause", new Error("no", { cause: parseError(`[${SECRET}]`) }), "no"],
  [
    "several lines",
    new UpstreamFailure(`It said:\n    at ${SECRET}\n${SECRET}`, { mayHaveRun: true }),
    "It said",
  ],
  ["what is no error", SECRET, undefined],
])("%s is told in our own words", (what, thrown, message) => {
  const { err, text } = logged(thrown);
  expect(err.message).toBe(message);
  expect(what === "several lines" ? text.split("stack")[0] : text).not.toContain(SECRET);
});

test("where it was, and why, is told", () => {
  const cause = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" });
  expect(logged(new Error("no", { cause })).err).toMatchObject({
    type: "Error",
    stack: expect.stringMatching(/^\s+at .*own-words\.test\.ts/),
    cause: { message: "connect ECONNREFUSED 127.0.0.1:1", code: "ECONNREFUSED" },
  });
});

function parseError(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return error;
  }
}
