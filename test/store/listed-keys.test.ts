import { expect, test } from "vitest";
import { ListedKeys, listedKey, listPrefix } from "../../src/store/listed-keys.ts";

test.each([
  ["list:abc:0001", "list:abc:"],
  ["list:abc:", "list:abc:"],
  ["task:abc", undefined],
  ["in:list:abc", undefined],
  ["", undefined],
])("%j is in the list %j", (key, prefix) => {
  expect(listPrefix(key)).toBe(prefix);
});

test("keys come in order, whatever order they were added in, each once", () => {
  const keys = new ListedKeys();
  for (const member of ["2", "4", "1", "5", "3", "2", "5"]) keys.add(listedKey("a", member));

  expect(membersAfter(keys, "a", "", 10)).toEqual(["1", "2", "3", "4", "5"]);
  expect(membersAfter(keys, "a", "2", 2)).toEqual(["3", "4"]);
  expect(membersAfter(keys, "a", "25", 1)).toEqual(["3"]);
  expect(membersAfter(keys, "a", "5", 10)).toEqual([]);
});

test("a list knows nothing of the others, nor of keys that are in none", () => {
  const keys = new ListedKeys();
  for (const key of [listedKey("a", "1"), listedKey("b", "2"), "task:3"]) keys.add(key);

  keys.delete("task:3");
  keys.delete(listedKey("b", "2"));

  expect(membersAfter(keys, "a", "", 10)).toEqual(["1"]);
  expect(membersAfter(keys, "b", "", 10)).toEqual([]);
  expect(keys.after("task:", 10)).toEqual([]);
  keys.clear();
  expect(membersAfter(keys, "a", "", 10)).toEqual([]);
});

test("ten thousand comings and goings leave what a plain sorted set would have", () => {
  const keys = new ListedKeys();
  const plain = new Set<string>();
  const random = pseudoRandom(42);
  const wrong: number[] = [];

  for (let step = 0; step < 10_000; step++) {
    const member = String(Math.floor(random() * 500)).padStart(3, "0");
    if (plain.has(member) && random() < 0.6) {
      plain.delete(member);
      keys.delete(listedKey("a", member));
    } else {
      plain.add(member);
      keys.add(listedKey("a", member));
    }
    const expected = [...plain].sort().filter((other) => other > member);
    const found = membersAfter(keys, "a", member, 20);
    if (found.join() !== expected.slice(0, 20).join()) wrong.push(step);
  }

  expect(wrong).toEqual([]);
  expect(plain.size).toBeGreaterThan(100);
  expect(membersAfter(keys, "a", "", 1_000)).toEqual([...plain].sort());
});

function membersAfter(keys: ListedKeys, list: string, member: string, limit: number): string[] {
  return keys.after(listedKey(list, member), limit).map((key) => key.slice(listedKey(list, "").length));
}

/** The same numbers every time, from 0 to 1. */
function pseudoRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
