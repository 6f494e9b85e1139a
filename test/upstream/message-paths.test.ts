/** Where messages of HTTP+SSE go, by what servers announce and what clients ask for. */

import { expect, test } from "vitest";
import { MessagePaths } from "../../src/upstream/transports/message-paths.ts";

test.for<[asked: string, found: string | undefined]>([
  ["/messages", "/messages"],
  ["/messages?s=1", "/messages?s=1"],
  // Servers take these for the same path.
  ["/MESSAGES?s=1", "/messages?s=1"],
  ["/messages/?s=1", "/messages?s=1"],
  ["//messages?s=1", "/messages?s=1"],
  ["/%6dessages?s=1", "/messages?s=1"],
  ["/x/../messages?s=1", "/messages?s=1"],
  ["/messages;v=1?s=/?", "/messages?s=/?"],
  ["/messages/1", undefined],
  ["/message", undefined],
  ["/?/messages", undefined],
])("a message for %s belongs to %s", ([asked, found]) => {
  const paths = new MessagePaths();
  expect(paths.find(asked)).toBeUndefined();
  const letGo = paths.hold("/messages");
  expect(paths.find(asked)).toBe(found);
  letGo();
  expect(paths.find(asked)).toBe(found);
});

test("a path is known while its stream is open, however many others come and go", () => {
  const paths = new MessagePaths();
  const letGo = [paths.hold("/post/kept"), paths.hold("/post/kept")];
  const others = () => {
    for (let at = 0; at < 1_000; at++) paths.hold(`/post/${at}`)();
  };
  others();
  letGo[0]?.();
  others();
  expect(paths.find("/post/kept?x")).toBe("/post/kept?x");
  letGo[1]?.();
  others();
  expect(paths.find("/post/kept")).toBeUndefined();
});

test("paths of two sessions that differ only by case stay apart", () => {
  const paths = new MessagePaths();
  for (const path of ["/post/aB", "/post/Ab"]) paths.hold(path);
  expect([paths.find("/post/aB"), paths.find("/post/Ab")]).toEqual(["/post/aB", "/post/Ab"]);
  expect(["/post/aB", "/post/Ab"]).toContain(paths.find("/post/ab"));
});
