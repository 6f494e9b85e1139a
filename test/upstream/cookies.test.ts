import { describe, expect, test } from "vitest";
import { storable } from "../../src/tasks/storable.ts";
import { CookieJar } from "../../src/upstream/transports/cookies.ts";

const NOW = Date.UTC(2026, 10, 29);
const SERVER = "https://mcp.example.com/tenant/mcp";

/** What a jar sends to `to` that was given `set` by the server. */
function sent(set: readonly string[], to = SERVER, from = SERVER, headers: Record<string, string> = {}) {
  const jar = new CookieJar(new URL(from), () => NOW);
  jar.take(new URL(from), set);
  return jar.addTo(headers, new URL(to)).cookie;
}

test.each([
  { title: "a plain one", set: ["a=1"], cookie: "a=1" },
  { title: "the rest of the value as it is", set: ["a=x%2By=z=; HttpOnly"], cookie: "a=x%2By=z=" },
  { title: "quotes", set: ['a="1 2"'], cookie: 'a="1 2"' },
  { title: "an empty value", set: ["a="], cookie: "a=" },
  {
    title: "names and attributes of any case, with white space",
    set: [" a = 1 ; PATH = / ; secure"],
    cookie: "a=1",
  },
  { title: "several, in the order they came", set: ["b=2; Path=/", "a=1; Path=/"], cookie: "b=2; a=1" },
  { title: "longer paths first", set: ["a=1; Path=/", "b=2; Path=/tenant"], cookie: "b=2; a=1" },
  { title: "the last of a name and path", set: ["a=1; Path=/", "a=2; Path=/"], cookie: "a=2" },
  {
    title: "attributes that we do not know",
    set: ["a=1; Priority=High; SameSite=None; Partitioned; Secure"],
    cookie: "a=1",
  },
  { title: "Max-Age in the future", set: ["a=1; Max-Age=1"], cookie: "a=1" },
  { title: "Max-Age beyond every date", set: ["a=1; Max-Age=99999999999999999999"], cookie: "a=1" },
  {
    title: "Max-Age before Expires",
    set: ["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"],
    cookie: "a=1",
  },
  { title: "Expires in the older form", set: ["a=1; Expires=Wed, 01-Dec-2027 00:00:00 GMT"], cookie: "a=1" },
  { title: "an Expires that is no date", set: ["a=1; Expires=soon"], cookie: "a=1" },
  { title: "a Max-Age that is no number", set: ["a=1; Max-Age=soon"], cookie: "a=1" },
  { title: "the host as its domain", set: ["a=1; Domain=mcp.example.com"], cookie: "a=1" },
  { title: "a domain above", set: ["a=1; Domain=.Example.com"], cookie: "a=1" },
  { title: "a path that is none, so the default", set: ["a=1; Path=tenant"], cookie: "a=1" },
])("keeps $title", ({ set, cookie }) => {
  expect(sent(set)).toBe(cookie);
});

test.each([
  { title: "no name", set: "=1" },
  { title: "no equals sign", set: "a" },
  { title: "nothing", set: "" },
  { title: "control characters", set: "a=1\r\nx-evil: 1" },
  { title: "characters beyond Latin-1", set: "a=\u{1F36A}" },
  { title: "Max-Age=0", set: "a=1; Max-Age=0" },
  { title: "a negative Max-Age", set: "a=1; Max-Age=-1" },
  { title: "an Expires in the past", set: "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT" },
  { title: "another domain", set: "a=1; Domain=example.org" },
  { title: "a domain that only ends alike", set: "a=1; Domain=p.example.com" },
  { title: "a domain below", set: "a=1; Domain=x.mcp.example.com" },
  { title: "another path", set: "a=1; Path=/other" },
  { title: "a path that only begins alike", set: "a=1; Path=/ten" },
  { title: "more than 4096 characters", set: `a=${"x".repeat(4_096)}` },
])("drops a cookie with $title", ({ set }) => {
  expect(sent([set])).toBeUndefined();
});

test("a secure cookie is neither taken from nor sent to a plain server", () => {
  expect(sent(["a=1; Secure", "b=2"], "http://h/", "http://h/")).toBe("b=2");
});

test("an address has no domain above it", () => {
  expect(sent(["a=1; Domain=0.0.1", "b=2; Domain=127.0.0.1"], "http://127.0.0.1/", "http://127.0.0.1/")).toBe(
    "b=2",
  );
});

test.each([
  "https://mcp.example.com:8443/tenant/mcp",
  "http://mcp.example.com/tenant/mcp",
  "https://example.com/",
])("no cookie goes to another origin, or is taken from it: %s", (other) => {
  expect(sent(["a=1; Domain=example.com; Path=/"], other)).toBeUndefined();
  const jar = new CookieJar(new URL(SERVER), () => NOW);
  jar.take(new URL(other), ["a=1; Path=/"]);
  expect(jar.addTo({}, new URL(SERVER))).toEqual({});
});

test("the default path is that of the endpoint's folder", () => {
  expect(sent(["a=1"], "https://mcp.example.com/tenant/messages")).toBe("a=1");
  expect(sent(["a=1"], "https://mcp.example.com/other")).toBeUndefined();
});

test("a cookie is taken back, and one that has expired is not sent", () => {
  let now = NOW;
  const url = new URL(SERVER);
  const jar = new CookieJar(url, () => now);
  jar.take(url, ["a=1; Path=/", "b=2; Path=/; Max-Age=60"]);
  jar.take(url, ["a=; Path=/; Max-Age=0"]);
  expect(jar.addTo({}, url)).toEqual({ cookie: "b=2" });
  now += 60_000;
  expect(jar.addTo({}, url)).toEqual({});
  expect(jar.toSetCookies()).toBeUndefined();
});

describe("a request that has a Cookie header", () => {
  test("keeps it, but for what the server has set since", () => {
    expect(sent(["node=2; Path=/"], SERVER, SERVER, { cookie: "login=x; node=1;" })).toBe("login=x; node=2");
  });

  test("keeps it as it is when there is nothing to add", () => {
    expect(sent([], SERVER, SERVER, { cookie: "login=x;" })).toBe("login=x;");
  });
});

test("as many cookies are kept as fit into a request, and the oldest go", () => {
  const url = new URL(SERVER);
  const jar = new CookieJar(url, () => NOW);
  for (let count = 0; count < 200; count += 1) jar.take(url, [`c${count}=${count}`]);
  expect(jar.toSetCookies()).toHaveLength(50);
  expect(jar.toSetCookies()?.at(-1)).toMatch(/^c199=/);
  for (let count = 0; count < 50; count += 1) jar.take(url, [`big${count}=${"x".repeat(4_000)}`]);
  expect(jar.addTo({}, url).cookie?.length).toBeLessThan(8_400);
});

test("another jar takes all of it over", () => {
  const set = ["a=1; Path=/; Domain=example.com; Secure", "b=2; Max-Age=60", "c=3"];
  const url = new URL(SERVER);
  const [jar, other] = [new CookieJar(url, () => NOW), new CookieJar(url, () => NOW)];
  jar.take(url, set);
  other.take(url, jar.toSetCookies() ?? []);
  expect(other.toSetCookies()).toEqual(jar.toSetCookies());
  expect(other.addTo({}, url)).toEqual(jar.addTo({}, url));
});

test("cookies are written down only where nobody can read them", () => {
  const session = { id: "s", protocolVersion: "2025-11-25", cookies: ["a=1; Path=/"] };
  const checkpoint = { session, requestId: 1, progressToken: 1, lastEventId: "1", asked: {}, usedKeys: [] };
  expect(storable(checkpoint, { isSealed: true })).toBe(checkpoint);
  expect(storable(checkpoint, { isSealed: false })).toEqual({
    ...checkpoint,
    session: { id: "s", protocolVersion: "2025-11-25" },
  });
});
