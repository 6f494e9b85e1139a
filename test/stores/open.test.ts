import { expect, test } from "vitest";
import { openStore } from "../../src/stores/open.ts";

test.each([
  ["redis://joe:secret@host:6379", "store: must be memory: or level:PATH, got redis:…"],
  ["./taskgate-data", "store: must be memory: or level:PATH, got no scheme"],
  ["level:", "store: must be memory: or level:PATH, got level:"],
  ["memory:x", "store: must be memory: or level:PATH, got memory:…"],
  ["", "store: must be memory: or level:PATH, got no scheme"],
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
