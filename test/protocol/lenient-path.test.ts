/** Which paths a server may take for each other. */

import { expect, test } from "vitest";
import { lenientPaths } from "../../src/protocol/lenient-path.ts";

test.each([
  "/a/b",
  "/A/B",
  "/%61/b",
  "/%2561/b",
  "/%25252561/b",
  "/%%36%31/b",
  "/a%2fb",
  "/a%252Fb",
  "/a\\b",
  "/a%5Cb",
  "//a///b/",
  "/a;x=1/b;y",
  "/;x/a/b",
  "/a/b?c",
  "/a/b%3fc",
  "/a/b%23c",
  "/a/b%00.html",
  "/a/b%20",
  "/a./b..",
  "/x/../a/b",
  "/x/%2e%2e/a/b",
  "/x/%252e%252e/a/b",
  "/x%2f..%2fa/b",
  "/x/..%2fa/b",
  "/x/..%5ca/b",
  "/x/..;/a/b",
  "/x/..;y=1/a/b",
  "/x/%2e%2e;/a/b",
  "/a/.;/b",
  "/a/%2e%20/b",
  "/a%2f./b",
  "/..;/..;/a/b",
  // Merged slashes first, or dots first.
  "/x%2f%2f../a/b",
  "/a/b/%2f..",
])("%s may be /a/b", (path) => {
  expect(lenientPaths(path)).toContain("/a/b");
});

test.each([
  "/",
  "/a",
  "/a/b/c",
  "/ab",
  "/x/a/b",
  "/a/b/..%2fc",
  "/a/b%2",
  "/a/%c3%a9/b",
  "/a/...x/b",
  "/a/b;/x",
])("%s is not /a/b", (path) => {
  expect(lenientPaths(path)).not.toContain("/a/b");
});

test("a long path takes no longer than its length says", () => {
  const long = "/%25".padEnd(60_000, "25");
  expect(lenientPaths(long)).toHaveLength(1);
});
