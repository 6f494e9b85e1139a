import { expect, test } from "vitest";
import { EventReader } from "../../src/upstream/transports/event-reader.ts";
import { everyChunking } from "../protocol/chunkings.ts";

test.each(["\n", "\r\n", "\r"])(
  "events whose lines end in %j are the same however the network cuts them",
  (lineBreak) => {
    const lines = ["\ufeffdata: é", "", "id: 1", "data: a", "data:", "", ": comment", "", "data: b", "", ""];
    for (const chunks of everyChunking(Buffer.from(lines.join(lineBreak)))) {
      expect(read(chunks)).toEqual(["é", "a\n", "b"]);
    }
  },
);

test.each(["\n", "\r\n", "\r"])(
  "an event is reported when its blank line ends in %j, though nothing follows",
  (lineBreak) => {
    expect(read([Buffer.from(`data: a${lineBreak}${lineBreak}`)])).toEqual(["a"]);
  },
);

test("two blank lines of which the first ends in CR are two, also in two chunks", () => {
  expect(read([Buffer.from("data: a\r"), Buffer.from("\r\ndata: b\n\n")])).toEqual(["a", "b"]);
  expect(read([Buffer.from("data: a\r"), Buffer.from("\n\ndata: b\r\r")])).toEqual(["a", "b"]);
});

function read(chunks: readonly Buffer[]): readonly string[] {
  const events: string[] = [];
  const reader = new EventReader({ onEvent: ({ data }) => events.push(data) });
  for (const chunk of chunks) reader.feed(chunk);
  return events;
}
