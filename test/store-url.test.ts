import { expect, test } from "vitest";
import { parseStoreUrl } from "../src/store-url.ts";

const single = { kind: "redis", layout: "single", isSecure: false, database: 0 };

test.each<[string, object]>([
  ["memory:", { kind: "memory", name: "memory:" }],
  ["level:./a b", { kind: "level", name: "level:./a b", path: "./a b" }],
  ["redis://h", { ...single, name: "redis://h", hosts: [{ host: "h", port: 6379 }] }],
  [
    "rediss://joe:a%40b%2Fc@h.example:7000/12",
    {
      ...single,
      name: "rediss://h.example:7000/12",
      isSecure: true,
      hosts: [{ host: "h.example", port: 7000 }],
      username: "joe",
      password: "a@b/c",
      database: 12,
    },
  ],
  [
    "redis://:pw:with:colons@[::1]:7000/",
    {
      ...single,
      name: "redis://[::1]:7000/",
      hosts: [{ host: "::1", port: 7000 }],
      password: "pw:with:colons",
    },
  ],
  [
    "redis+cluster://:pw@a:1,b,c:3",
    {
      ...single,
      layout: "cluster",
      name: "redis+cluster://a:1,b,c:3",
      hosts: [
        { host: "a", port: 1 },
        { host: "b", port: 6379 },
        { host: "c", port: 3 },
      ],
      password: "pw",
    },
  ],
  [
    "rediss+sentinel://u:pw@a,b:2/my.master-1?db=3",
    {
      ...single,
      isSecure: true,
      layout: { master: "my.master-1" },
      name: "rediss+sentinel://a,b:2/my.master-1?db=3",
      hosts: [
        { host: "a", port: 26_379 },
        { host: "b", port: 2 },
      ],
      username: "u",
      password: "pw",
      database: 3,
    },
  ],
])("%s", (url, expected) => {
  expect(parseStoreUrl(url)).toEqual(expected);
});

test.each([
  ["redis:", "must have a host after //, and special letters of a password percent-encoded"],
  ["redis://", "must have a host after //, and special letters of a password percent-encoded"],
  ["redis://u:p@", "must have a host after //, and special letters of a password percent-encoded"],
  ["redis://a,b", "must have one host; several are for redis+cluster:// or redis+sentinel://"],
  ["redis://h:0", "must have hosts like NAME or NAME:PORT"],
  ["redis://h:70000", "must have hosts like NAME or NAME:PORT"],
  ["redis://h h", "must have hosts like NAME or NAME:PORT"],
  ["redis+cluster://a,,b", "must have hosts like NAME or NAME:PORT"],
  ["redis://h/x", "must have a number as its database"],
  ["redis://h/0?db=1", "must have nothing after ?"],
  ["redis://joe@h", "must have credentials like USER:PASSWORD or :PASSWORD before @"],
  ["redis://joe:%ZZ@h", "must have credentials that are percent-encoded"],
  ["redis+cluster://h/0", "must end with its hosts: a cluster has no databases"],
  ["redis+sentinel://h", "must have the name of the master after the hosts: /NAME"],
  ["redis+sentinel://h/m?x=1", "must have nothing after ? but db=NUMBER"],
  ["redis+unix://h", "must be memory:, level:PATH, redis://HOST or rediss://HOST"],
  ["REDIS://h", "must be memory:, level:PATH, redis://HOST or rediss://HOST"],
  ["memory:x", "must be memory:, level:PATH, redis://HOST or rediss://HOST"],
])("%s is refused", (url, message) => {
  expect(() => parseStoreUrl(url)).toThrow(new Error(message));
});
