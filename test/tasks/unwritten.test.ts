import { expect, test } from "vitest";
import { Unwritten } from "../../src/tasks/unwritten.ts";

test("what fits is kept, to the last byte, and what does not is refused without taking room", () => {
  const unwritten = new Unwritten({ maxBytes: 100 });

  expect(unwritten.keep(60)).toBeTypeOf("function");
  expect(unwritten.keep(41)).toBeUndefined();
  expect(unwritten.bytes).toBe(60);
  expect(unwritten.keep(40)).toBeTypeOf("function");
  expect(unwritten.bytes).toBe(100);
  expect(unwritten.keep(1)).toBeUndefined();
});

test("room that is given back is there for others, once", () => {
  const unwritten = new Unwritten({ maxBytes: 100 });
  const giveBack = unwritten.keep(60);
  unwritten.keep(40);

  giveBack?.();
  giveBack?.();

  expect(unwritten.bytes).toBe(40);
  expect(unwritten.keep(61)).toBeUndefined();
  expect(unwritten.keep(60)).toBeTypeOf("function");
});

test("without any room nothing is kept", () => {
  expect(new Unwritten({ maxBytes: 0 }).keep(1)).toBeUndefined();
});
