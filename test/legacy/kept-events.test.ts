import { expect, test } from "vitest";
import { EventRoom, KeptEvents } from "../../src/legacy/paired/kept-events.ts";
import type { JsonText } from "../../src/protocol/jsonrpc.ts";

function kept({ room = new EventRoom(1_000), maxEvents = 3, maxChars = 100 } = {}) {
  const forgotten: string[] = [];
  const events = new KeptEvents(room, {
    maxEvents,
    maxChars,
    onForgotten: (stream) => void forgotten.push(stream),
  });
  const add = (stream: string, number: number, message = `${number}`) =>
    events.add({ stream, number, message: message as JsonText });
  const numbers = (stream: string, after = 0) => events.after(stream, after).map(({ number }) => number);
  return { events, forgotten, add, numbers };
}

test("the events of a stream are those after a number, and of that stream", () => {
  const { add, numbers } = kept();
  add("a", 1);
  add("b", 1);
  add("a", 2);
  expect([numbers("a"), numbers("a", 1), numbers("a", 2), numbers("b"), numbers("c")]).toEqual([
    [1, 2],
    [2],
    [],
    [1],
    [],
  ]);
});

test("of too many events the oldest go, and it is said when a stream has none left", () => {
  const { events, forgotten, add, numbers } = kept();
  add("a", 1);
  for (const number of [1, 2, 3]) add("b", number);
  expect([numbers("a"), numbers("b")]).toEqual([[], [1, 2, 3]]);
  expect(forgotten).toEqual(["a"]);
  expect([events.has("a"), events.has("b")]).toEqual([false, true]);
});

test("of too many characters the oldest events go; one that is larger than all the room is not kept, and costs nobody a place", () => {
  const { add, numbers } = kept();
  add("a", 1, "x".repeat(60));
  add("a", 2, "x".repeat(101));
  expect(numbers("a")).toEqual([1]);
  add("a", 3, "x".repeat(60));
  expect(numbers("a")).toEqual([3]);
});

test("sessions share their room: one that needs more gives up its own, and never another's", () => {
  const room = new EventRoom(100);
  const [ada, bob] = [kept({ room }), kept({ room })];
  ada.add("a", 1, "x".repeat(70));
  bob.add("b", 1, "x".repeat(30));
  bob.add("b", 2, "x".repeat(25));
  bob.add("b", 3, "x".repeat(50));
  expect([ada.numbers("a"), bob.numbers("b")]).toEqual([[1], []]);
  ada.events.clear();
  bob.add("b", 4, "x".repeat(100));
  expect([ada.numbers("a"), bob.numbers("b")]).toEqual([[], [4]]);
});
