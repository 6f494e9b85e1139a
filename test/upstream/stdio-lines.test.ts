/** Lines, and the messages on them. */

import { describe, expect, test } from "vitest";
import { LineSplitter } from "../../src/upstream/transports/lines.ts";
import { readMessages, toLine } from "../../src/upstream/transports/message-line.ts";
import { cutBy, cuts, everyChunking } from "../protocol/chunkings.ts";
import * as fc from "../support/properties.ts";

describe("bytes are cut into lines", () => {
  test.each([
    ["nothing", "", []],
    ["a line", "one\n", ["one"]],
    ["several, and the beginning of another", "one\ntwo\nthr", ["one", "two"]],
    ["blank lines", "\n\none\n\n", ["", "", "one", ""]],
    ["a carriage return, which is left to whoever reads", "one\r\n", ["one\r"]],
    ["a line as long as it may be", "12345678\n", ["12345678"]],
    ["a line that is too long, and the next", "123456789\nok\n", ["12345678…", "ok"]],
    ["one that is much too long", "123456789123456789123456789\nok\n", ["12345678…", "ok"]],
    ["one that is too long and has no end", "1234567891", ["12345678…"]],
    ["a character of several bytes", "añ€\n", ["añ€"]],
  ])("%s, whatever pieces they come in", (_, text, lines) => {
    for (const chunks of everyChunking(Buffer.from(text))) expect(cut(chunks, 8)).toEqual(lines);
  });

  test("as split does it, for any bytes", () => {
    const piece = fc.constantFrom("\n", "a", "bc", "\r\n", "ü");
    const text = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(""));
    void fc.assert(
      fc.property(text, cuts, (all, fractions) => {
        const lines = cut(cutBy(Buffer.from(all), fractions), 1_000);
        expect(lines).toEqual(all.split("\n").slice(0, -1));
      }),
    );
  });

  test("the last may have no break", () => {
    const splitter = new LineSplitter(8);
    splitter.push(Buffer.from("one\ntwo"));
    expect(splitter.rest().map(shown)).toEqual(["two"]);
    expect(splitter.rest()).toEqual([]);
  });
});

describe("a line says", () => {
  const request = { jsonrpc: "2.0", id: 0, method: "ping" };
  const notification = { jsonrpc: "2.0", method: "notifications/x", params: {}, odd: true };
  const result = { jsonrpc: "2.0", id: "", result: { deep: [1] }, odd: true };
  const error = { jsonrpc: "2.0", id: 1, error: { code: -32000, message: "no", data: 1 } };

  test.each([
    ["a request", request],
    ["a notification with fields nobody knows", notification],
    ["a result", result],
    ["an error", error],
  ])("%s", (_, message) => {
    expect(readMessages(Buffer.from(`  ${JSON.stringify(message)} \r`))).toEqual([message]);
  });

  test("what a batch says, one after the other", () => {
    const batch = JSON.stringify([request, "no message", result]);
    expect(readMessages(Buffer.from(batch))).toEqual([request, undefined, result]);
  });

  test("as one line whatever is in it", () => {
    const message = { jsonrpc: "2.0", method: "x", params: { text: "a\nb\r\n\u2028c" } } as const;
    const line = toLine(message);
    expect(line.indexOf("\n")).toBe(line.length - 1);
    expect(readMessages(Buffer.from(line))).toEqual([message]);
  });
});

function cut(chunks: readonly Buffer[], maxLineBytes: number): string[] {
  const splitter = new LineSplitter(maxLineBytes);
  return chunks.flatMap((chunk) => splitter.push(chunk)).map(shown);
}

function shown({ bytes, isCut }: { readonly bytes: Buffer; readonly isCut: boolean }): string {
  return `${bytes}${isCut ? "…" : ""}`;
}
