import { describe, expect, test } from "vitest";
import {
  EventBoundary,
  type EventFields,
  EventSplitter,
  readEvent,
  toEvent,
  withData,
} from "../../src/protocol/event-stream.ts";
import { everyChunking } from "./chunkings.ts";

const MARK = "\ufeff";

describe("EventBoundary", () => {
  test.for<[stream: string, isBetween: boolean]>([
    ["", true],
    [MARK, true],
    ["\n", true],
    ["\r", true],
    ["\r\n", true],
    [`${MARK}\n`, true],
    [`${MARK}\r\n`, true],
    ["data: x\n\n", true],
    ["data: x\r\n\r\n", true],
    ["data: x\r\r", true],
    ["data: x\n\r\n", true],
    ["data: x\r\n\n", true],
    ["data: x\r\r\n", true],
    ["data: x\n\r", true],
    ["data: x\r\n\r", true],
    ["data: x\n\n\n", true],
    [":\n\n", true],
    [`${MARK}data: x\n\n`, true],
    [":", false],
    ["data: x", false],
    ["data: x\n", false],
    ["data: x\r", false],
    ["data: x\r\n", false],
    ["x\n", false],
    ["x\r\n", false],
    ["\nx", false],
    ["\n\nx\n", false],
    ["data: x\n\ndata: y", false],
    ["data: x\n\ndata: y\r\n", false],
    [`${MARK}x`, false],
    [`${MARK}x\r\n`, false],
    // Only the first three bytes are a mark.
    [`${MARK}${MARK}`, false],
    [`data: x\n\n${MARK}`, false],
    [`\n${MARK}`, false],
    [`x${MARK}`, false],
  ])("after %j it stands between two events: %j", ([stream, isBetween]) => {
    for (const chunks of everyChunking(Buffer.from(stream))) {
      expect(boundaryAfter(chunks).isBetweenEvents).toBe(isBetween);
    }
  });

  test.for([1, 2])("%i bytes of a mark are none yet", (bytes) => {
    expect(boundaryAfter([Buffer.from(MARK).subarray(0, bytes)]).isBetweenEvents).toBe(false);
  });
});

describe("EventSplitter", () => {
  test.for<[stream: string, pieces: readonly string[], rest: string]>([
    ["", [], ""],
    ["data: 1", [], "data: 1"],
    ["data: 1\n", [], "data: 1\n"],
    ["data: 1\n\n", ["data: 1\n\n"], ""],
    ["data: 1\n\ndata: 2\n\nda", ["data: 1\n\n", "data: 2\n\n"], "da"],
    ["data: 1\r\n\r\ndata: 2\r\n\r\n", ["data: 1\r\n\r\n", "data: 2\r\n\r\n"], ""],
    ["data: 1\r\rdata: 2\r\r:", ["data: 1\r\r", "data: 2\r\r"], ":"],
    ["data: 1\n\rdata: 2\r\n\nx", ["data: 1\n\r", "data: 2\r\n\n"], "x"],
    ["id: 1\n:\nevent: e\ndata: 1\ndata\n\n", ["id: 1\n:\nevent: e\ndata: 1\ndata\n\n"], ""],
    [":\n\n:\n\n", [":\n\n", ":\n\n"], ""],
    ["\n\r\n\r:", ["\n\r\n\r"], ":"],
    ["data: 1\n\n\n\r\ndata: 2\n\n", ["data: 1\n\n\n\r\n", "data: 2\n\n"], ""],
    [`${MARK}data: 1\n\ndata: 2\n\n`, [MARK, "data: 1\n\n", "data: 2\n\n"], ""],
    [`data: 1\n\n${MARK}data: 2\n\n`, ["data: 1\n\n", `${MARK}data: 2\n\n`], ""],
    [`${MARK}dat`, [], `${MARK}dat`],
  ])("cuts %j into %j and %j", ([stream, pieces, rest]) => {
    const bytes = Buffer.from(stream);
    expect(split([bytes])).toEqual({ pieces, rest, isOverrun: false });
    for (const chunks of everyChunking(bytes)) {
      const cut = split(chunks);
      expect(withoutBlanks(cut.pieces)).toEqual(withoutBlanks(pieces));
      expect(cut.rest).toBe(rest);
      expect(cut.pieces.join("") + cut.rest).toBe(stream);
    }
  });

  test("gives an event with its last byte, and a CRLF that was cut does not keep it waiting", () => {
    const splitter = new EventSplitter(100);
    expect(splitter.push(Buffer.from("data: 1\r\n"))).toEqual([]);
    expect(splitter.push(Buffer.from("\r"))).toEqual([Buffer.from("data: 1\r\n\r")]);
    expect(splitter.push(Buffer.from("\n"))).toEqual([Buffer.from("\n")]);
    expect(splitter.push(Buffer.from("data: 2\n\n"))).toEqual([Buffer.from("data: 2\n\n")]);
  });

  test("hands the rest over once", () => {
    const splitter = new EventSplitter(100);
    splitter.push(Buffer.from("data"));
    expect(String(splitter.rest())).toBe("data");
    expect(String(splitter.rest())).toBe("");
  });

  const small = "data: 1\n\n";
  const large = "data: 12\n\n";

  test.for<[chunks: readonly string[], pushed: readonly (readonly string[])[]]>([
    [
      [small, large, small],
      [[small], [large], [small]],
    ],
    [[small + large + small + small], [[small, large + small + small]]],
    [
      [`${small}data: 1`, "2\n", "\n", small + small],
      [[small], [], [large], [small + small]],
    ],
  ])("what is too large, and what follows, comes as it arrives: %j", ([chunks, pushed]) => {
    const splitter = new EventSplitter(small.length);
    expect(chunks.map((chunk) => splitter.push(Buffer.from(chunk)).map(String))).toEqual(pushed);
  });

  test("an event as long as the limit is an event, one byte more is too much", () => {
    expect(split([Buffer.from(small + small)], small.length)).toMatchObject({ isOverrun: false });
    for (const chunks of everyChunking(Buffer.from(small + large + small))) {
      const splitter = new EventSplitter(small.length);
      const pieces = chunks.flatMap((chunk) => splitter.push(chunk)).map(String);
      expect(splitter.isOverrun).toBe(true);
      expect(pieces[0]).toBe(small);
      expect(pieces[1]?.length).toBeGreaterThan(small.length);
      expect(pieces.join("")).toBe(small + large + small);
      expect(splitter.rest()).toHaveLength(0);
    }
  });

  test("an event that never ends is given up as soon as it is too large", () => {
    const splitter = new EventSplitter(4);
    expect(splitter.push(Buffer.from("data"))).toEqual([]);
    expect(splitter.isOverrun).toBe(false);
    expect(splitter.push(Buffer.from(":"))).toEqual([Buffer.from("data:")]);
    expect(splitter.isOverrun).toBe(true);
    expect(splitter.push(Buffer.from("\n\n:\n\n"))).toEqual([Buffer.from("\n\n:\n\n")]);
  });
});

describe("readEvent", () => {
  const nothing: EventFields = { event: "message", data: undefined, id: undefined };

  test.for<[event: string, fields: Partial<EventFields>]>([
    ["\n", {}],
    [":data: x\n\n", {}],
    ["data: x\n\n", { data: "x" }],
    ["data:x\n\n", { data: "x" }],
    ["data:  x \n\n", { data: " x " }],
    ["data\n\n", { data: "" }],
    ["data:\n\n", { data: "" }],
    ["data\ndata\n\n", { data: "\n" }],
    ["data: a\r\ndata:b\rdata: c\n\n", { data: "a\nb\nc" }],
    ["data: a:b\n\n", { data: "a:b" }],
    ["Data: x\n\n", {}],
    [" data: x\n\n", {}],
    ["data : x\n\n", {}],
    [`${MARK}data: x\n\n`, {}],
    ["datax\n\n", {}],
    ["event: e\ndata: x\n\n", { event: "e", data: "x" }],
    ["event: e\nevent\ndata: x\n\n", { data: "x" }],
    ["event: endpoint\n\n", { event: "endpoint" }],
    ["id: 1\n\n", { id: "1" }],
    ["id: 1\nid: 2\n\n", { id: "2" }],
    ["id\n\n", { id: "" }],
    ["id: 1\nid: a\0\n\n", { id: "1" }],
    ["retry: 1\nunknown: 2\ndata: x\n\n", { data: "x" }],
    ["data: 世界\n\n", { data: "世界" }],
    ["data: x\ndata: y", { data: "x" }],
  ])("reads %j as %j", ([event, fields]) => {
    expect(readEvent(Buffer.from(event))).toEqual({ ...nothing, ...fields });
  });

  test("bytes that are no UTF-8 are replaced", () => {
    expect(readEvent(Buffer.from("data: a\xffb\n\n", "latin1")).data).toBe("a\ufffdb");
  });
});

describe("withData", () => {
  test.for<[event: string, data: string, amended: string]>([
    ["data: x\n\n", "y", "data: y\n\n"],
    ["data:x\n\n", "y", "data:y\n\n"],
    ["data:x\n\n", " y", "data:  y\n\n"],
    ["data\n\n", "y", "data: y\n\n"],
    ["data: x\r\n\r\n", "y", "data: y\r\n\r\n"],
    ["data: x\r\r", "y", "data: y\r\r"],
    [": c\nid: 7\ndata: x\nretry: 1\nevent: e\n\n", "y", ": c\nid: 7\ndata: y\nretry: 1\nevent: e\n\n"],
    ["data: a\n:c\ndata: b\r\n\n", "y", ":c\ndata: y\r\n\n"],
    ["data: a\rdata: b\n\n", "y", "data: y\n\n"],
    ["data: a\ndata: b\n\n", "c\nd", "data: c\ndata: d\n\n"],
    ["data: a\r\n\r\n", "b\nc\r\nd\re", "data: b\r\ndata: c\r\ndata: d\r\ndata: e\r\n\r\n"],
    ["id: 1\r\n\r\n", "y", "id: 1\r\ndata: y\r\n\r\n"],
    ["data: x\n\n", "", "data: \n\n"],
    ["data: x\n\n", "世界", "data: 世界\n\n"],
    // What has no blank line is no event yet, and loses nothing either.
    ["data: x\nid: 1", "y", "data: y\nid: 1"],
    ["id: 1", "y", "id: 1"],
  ])("%j with %j is %j", ([event, data, amended]) => {
    expect(String(withData(Buffer.from(event), data))).toBe(amended);
  });

  test("leaves the bytes of other lines alone, UTF-8 or not", () => {
    const event = Buffer.from(": \xff\nid: \xfe\ndata: x\n\n", "latin1");
    expect(withData(event, "y").toString("latin1")).toBe(": \xff\nid: \xfe\ndata: y\n\n");
  });
});

test.for<[data: string, event: string]>([
  ['{"a":1}', 'event: message\ndata: {"a":1}\n\n'],
  ["", "event: message\ndata: \n\n"],
  [" a", "event: message\ndata:  a\n\n"],
  ["{\n}", "event: message\ndata: {\ndata: }\n\n"],
  ["a\r\nb\rc", "event: message\ndata: a\ndata: b\ndata: c\n\n"],
])("%j as an event is %j", ([data, event]) => {
  expect(toEvent(data)).toBe(event);
});

function boundaryAfter(chunks: readonly Buffer[]): EventBoundary {
  const boundary = new EventBoundary();
  for (const chunk of chunks) boundary.take(chunk);
  return boundary;
}

function split(chunks: readonly Buffer[], maxEventBytes = 100) {
  const splitter = new EventSplitter(maxEventBytes);
  const pieces = chunks.flatMap((chunk) => splitter.push(chunk)).map(String);
  return { pieces, rest: String(splitter.rest()), isOverrun: splitter.isOverrun };
}

/** Where the network cuts blank lines makes no difference to whoever listens. */
function withoutBlanks(pieces: readonly string[]): readonly string[] {
  return pieces.map((piece) => piece.replace(/[\r\n]+$/, "")).filter((piece) => piece !== "");
}
