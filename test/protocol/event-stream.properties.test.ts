/** What holds for any event stream, however the network cuts it. What an event is, `eventsource-parser` decides. */

import { createParser, type EventSourceMessage } from "eventsource-parser";
import { expect, test } from "vitest";
import {
  EventBoundary,
  type EventFields,
  EventSplitter,
  readEvent,
  toEvent,
  withData,
} from "../../src/protocol/event-stream.ts";
import * as fc from "../support/properties.ts";
import { cutBy, cuts } from "./chunkings.ts";

const UNLIMITED = 1_000_000;
const MARK = "\ufeff";
const COMMENT = Buffer.from(":\n\n");

const word = fc.constantFrom(
  "data",
  "event",
  "id",
  "retry",
  "",
  "x",
  "7",
  "é",
  "\ufeff",
  "\0",
  "{}",
  " ",
  ":",
);
const line = fc
  .tuple(
    fc.oneof({ weight: 3, arbitrary: fc.constant("data: ") }, { weight: 1, arbitrary: word }),
    fc.array(word, { maxLength: 3 }),
  )
  .map(([first, rest]) => first + rest.join(""));
const lineEnd = fc.constantFrom("\n", "\r", "\r\n");
const blank = fc.tuple(lineEnd, lineEnd).map((ends) => ends.join(""));
const text = fc.oneof(line, lineEnd, blank).map((part) => Buffer.from(part));
const noise = fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes));
const stream = fc
  .tuple(
    fc.constantFrom("", MARK),
    fc.array(fc.oneof({ weight: 9, arbitrary: text }, { weight: 1, arbitrary: noise }), { maxLength: 40 }),
  )
  .map(([mark, parts]) => Buffer.concat([Buffer.from(mark), ...parts]));

test("the events are those that the parser sees", () =>
  fc.assert(
    fc.property(stream, cuts, (bytes, fractions) => {
      const { pieces } = split(cutBy(bytes, fractions));
      expect(pieces.map(readEvent).filter(({ data }) => data !== undefined)).toEqual(parsedEvents(bytes));
    }),
    { numRuns: 2_000 },
  ));

test("the pieces are the stream, and the rest is less than an event", () =>
  fc.assert(
    fc.property(stream, cuts, fc.integer({ min: 1, max: 40 }), (bytes, fractions, maxEventBytes) => {
      const { pieces, rest } = split(cutBy(bytes, fractions), maxEventBytes);
      expect(Buffer.concat([...pieces, rest])).toEqual(bytes);
      expect(rest.length).toBeLessThanOrEqual(maxEventBytes);
    }),
  ));

test("up to the event that is too large, the pieces are what they were", () =>
  fc.assert(
    fc.property(stream, cuts, fc.integer({ min: 1, max: 40 }), (bytes, fractions, maxEventBytes) => {
      const unlimited = split(cutBy(bytes, fractions)).pieces;
      const limited = split(cutBy(bytes, fractions), maxEventBytes);
      const firstLarge = limited.pieces.findIndex(({ length }) => length > maxEventBytes);
      const whole = firstLarge === -1 ? limited.pieces : limited.pieces.slice(0, firstLarge);
      expect(limited.isOverrun).toBe(firstLarge !== -1);
      expect(whole).toEqual(unlimited.slice(0, whole.length));
    }),
  ));

test("between two events another one can be put in, and nothing else is heard differently", () =>
  fc.assert(
    fc.property(stream, fc.nat(), cuts, (bytes, seed, fractions) => {
      const places = Array.from({ length: bytes.length + 1 }, (_, at) => at).filter(
        // In front of a mark there is nothing: whoever puts something in there moves the mark.
        (at) =>
          boundaryAfter(cutBy(bytes.subarray(0, at), fractions)).isBetweenEvents &&
          (at > 0 || bytes[0] !== 0xef),
      );
      fc.pre(places.length > 0);
      const at = places[seed % places.length] ?? 0;
      const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
      const put = { event: "message", data: "put in", id: undefined };
      const heard = parsedEvents(Buffer.concat([before, Buffer.from(toEvent(put.data)), after]));
      expect(heard).toEqual(parsedEvents(bytes).toSpliced(parsedEvents(before).length, 0, put));
    }),
    { numRuns: 1_000 },
  ));

test("after every piece of a splitter the stream stands between two events", () =>
  fc.assert(
    fc.property(stream, cuts, (bytes, fractions) => {
      const boundary = new EventBoundary();
      const seen = split(cutBy(bytes, fractions)).pieces.map((piece) => {
        boundary.take(piece);
        return boundary.isBetweenEvents;
      });
      expect(seen).not.toContain(false);
    }),
  ));

test("an event with other data says that, and everything else that it said", () =>
  fc.assert(
    fc.property(stream, fc.string(), (bytes, data) => {
      for (const event of split([bytes]).pieces.filter((piece) => String(piece) !== MARK)) {
        const amended = withData(event, data);
        expect(readEvent(amended)).toEqual({ ...readEvent(event), data: data.replace(/\r\n|\r/g, "\n") });
        expect(otherLines(amended)).toEqual(otherLines(event));
        expect(split([COMMENT, amended]).pieces).toEqual([COMMENT, amended]);
      }
    }),
  ));

test("a message as an event is heard as it is", () =>
  fc.assert(
    fc.property(fc.json(), (data) => {
      const event = Buffer.from(toEvent(data));
      expect(parsedEvents(event)).toEqual([{ event: "message", data, id: undefined }]);
      expect(withData(event, data)).toEqual(event);
    }),
  ));

function split(chunks: readonly Buffer[], maxEventBytes = UNLIMITED) {
  const splitter = new EventSplitter(maxEventBytes);
  const pieces = chunks.flatMap((chunk) => splitter.push(chunk));
  return { pieces, rest: splitter.rest(), isOverrun: splitter.isOverrun };
}

function boundaryAfter(chunks: readonly Buffer[]): EventBoundary {
  const boundary = new EventBoundary();
  for (const chunk of chunks) boundary.take(chunk);
  return boundary;
}

function parsedEvents(bytes: Buffer): readonly EventFields[] {
  const events: EventSourceMessage[] = [];
  // The parser waits after a CR for what follows: the colon says that it is no LF.
  createParser({ onEvent: (event) => events.push(event) }).feed(`${new TextDecoder().decode(bytes)}:`);
  return events.map(({ event = "message", data, id }) => ({ event, data, id }));
}

function otherLines(event: Buffer): readonly string[] {
  const lines = event.toString("latin1").match(/[^\r\n]*(\r\n|\r|\n)/g) ?? [];
  return lines.filter((each) => !/^data[:\r\n]/.test(each));
}
