import { expect, test } from "vitest";
import { openStore } from "../../src/store/open.ts";

const EXPECTED = "must be memory:, level:PATH, redis://HOST or rediss://HOST";

test.each([
  ["redis://joe:sec/ret@host", "store: must have a number as its database, got redis:…"],
  ["./taskgate-data", `store: ${EXPECTED}, got no scheme`],
  ["level:", `store: ${EXPECTED}, got level:`],
  ["memory:x", `store: ${EXPECTED}, got memory:…`],
  ["", `store: ${EXPECTED}, got no scheme`],
])("a url that names no store is refused without repeating its secrets: %j", async (url, message) => {
  await expect(openStore(url)).rejects.toThrow(new Error(message));
});

test("a store knows the url it was opened with", async () => {
  const store = await openStore("memory:");

  expect(store.url).toBe("memory:");
  await store.close();
});

test("every opening is a replica of its own", async () => {
  const [one, other] = [await openStore("memory:"), await openStore("memory:")];

  expect(one.me).not.toBe(other.me);
  await Promise.all([one.close(), other.close()]);
});
