/** Which addresses are a proxy's. */

import { describe, expect, test } from "vitest";
import { trustedProxies } from "../../../src/http/callers/trusted-proxies.ts";

const NETWORKS: Readonly<Record<string, { readonly inside: string[]; readonly outside: string[] }>> = {
  "10.0.0.0/8": {
    inside: ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "::ffff:0a01:0203"],
    outside: ["11.0.0.0", "9.255.255.255", "::ffff:11.0.0.0", "::a01:203", "a00::", "64:ff9b::a01:203"],
  },
  "10.1.2.3/8": { inside: ["10.9.9.9"], outside: ["11.1.2.3"] },
  "192.0.2.7": { inside: ["192.0.2.7", "::ffff:192.0.2.7"], outside: ["192.0.2.6", "192.0.2.8"] },
  "192.0.2.7/32": { inside: ["192.0.2.7"], outside: ["192.0.2.6"] },
  "192.0.2.128/25": { inside: ["192.0.2.128", "192.0.2.255"], outside: ["192.0.2.127"] },
  "0.0.0.0/0": { inside: ["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], outside: ["::1", "2001:db8::1"] },
  "::1": { inside: ["::1", "0:0:0:0:0:0:0:1"], outside: ["::2", "127.0.0.1", "::ffff:127.0.0.1"] },
  "2001:db8::/32": { inside: ["2001:db8::", "2001:DB8:ffff::1"], outside: ["2001:db9::", "1.2.3.4"] },
  "fe80::/10": { inside: ["fe80::1", "fe80::1%eth0"], outside: ["fec0::1"] },
  "::ffff:10.0.0.0/104": { inside: ["10.9.9.9", "::ffff:10.9.9.9"], outside: ["11.0.0.0"] },
};

describe.each(Object.entries(NETWORKS))("of %s", (network, { inside, outside }) => {
  const isTrusted = trustedProxies([network]);

  test.each(inside)("%s is one", (address) => {
    expect(isTrusted(address)).toBe(true);
  });

  test.each(outside)("%s is none", (address) => {
    expect(isTrusted(address)).toBe(false);
  });
});

test.each([
  undefined,
  "",
  "localhost",
  "10.0.0.1 ",
  "10.1",
  "0x0a000001",
  "010.0.0.1",
  "10.0.0.1:80",
  "[::1]",
  "/run/x.sock",
])("%j is no address, and so is trusted by nobody", (address) => {
  expect(trustedProxies(["0.0.0.0/0", "::/0"])(address)).toBe(false);
});

test("there may be several networks", () => {
  const isTrusted = trustedProxies(["10.0.0.0/8", "::1", "192.0.2.7"]);
  const addresses = ["10.0.0.1", "::1", "192.0.2.7", "192.0.2.8"];
  expect(addresses.map((address) => isTrusted(address))).toEqual([true, true, true, false]);
});
