/** To which addresses a client may have the gateway post. Nothing here leaves the machine. */

import { createSocket } from "node:dgram";
import type { LookupAddress } from "node:dns";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Agent, request } from "undici";
import { expect, onTestFinished, test, vi } from "vitest";
import { guardedAgent, type Resolve, resolveByDns } from "../../src/webhooks/subscriptions/guarded-agent.ts";
import { isPublicAddress } from "../../src/webhooks/subscriptions/public-address.ts";

test.for([
  "0.0.0.0",
  "10.1.2.3",
  "100.64.0.1",
  "100.127.255.254",
  "127.0.0.1",
  "127.255.255.254",
  "169.254.1.1",
  "172.16.0.1",
  "172.31.255.254",
  "192.0.0.8",
  "192.0.2.1",
  "192.88.99.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.51.100.1",
  "203.0.113.1",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::ffff:127.0.0.1",
  "::ffff:8.8.8.8",
  "::7f00:1",
  "64:ff9b::7f00:1",
  "64:ff9b:1::1",
  "100::1",
  "2001::1",
  "2001:2::1",
  "2001:db8::1",
  "2002:7f00:1::1",
  "3fff::1",
  "5f00::1",
  "fc00::1",
  "fd12:3456::1",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "localhost",
  "receiver.example",
  "1.2.3",
  "",
])("%s is not public", (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test.for(["1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.17.0.1"])(
  "%s is public",
  (address) => {
    expect(isPublicAddress(address)).toBe(true);
  },
);

test.for(["2001:200::1", "2606:4700::1111", "2a00:1450::1", "2003::1"])("%s is public", (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

/** A server on loopback, and an agent for which a name stands for these addresses, unless it asks somebody else. */
async function world(addresses: readonly string[], allowed: readonly string[] = [], other?: Resolve) {
  let requests = 0;
  const server = createServer((_, response) => {
    requests += 1;
    response.end("there");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const asked: string[] = [];
  const resolve: Resolve = (host, done) => {
    asked.push(host);
    done(
      null,
      addresses.map((address): LookupAddress => ({ address, family: address.includes(":") ? 6 : 4 })),
    );
  };
  const agent = guardedAgent(new Set(allowed), other ?? resolve);
  onTestFinished(async () => {
    await agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const get = async (host: string) => {
    const { body } = await request(`http://${host}:${port}/`, { dispatcher: agent });
    return body.text();
  };
  return { agent, get, asked, requests: () => requests };
}

/** A name server for which every name is 127.0.0.1 (RFC 1035 §4.1). */
async function startNameServer(): Promise<string> {
  const server = createSocket("udp4");
  server.on("message", (query, { port, address }) => {
    const end = query.indexOf(0, 12) + 5;
    const isA = query.readUInt16BE(end - 4) === 1;
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(0x8180, 2);
    head.writeUInt16BE(isA ? 1 : 0, 6);
    head.writeUInt32BE(0, 8);
    const record = Buffer.from([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    server.send(Buffer.concat([head, query.subarray(12, end), ...(isA ? [record] : [])]), port, address);
  });
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `127.0.0.1:${server.address().port}`;
}

test.for([[["127.0.0.1"]], [["1.1.1.1", "127.0.0.1"]], [["127.0.0.1", "1.1.1.1"]], [["::1"]], [[]]])(
  "a name that stands for %j is not connected to",
  async ([addresses = []]) => {
    const { get, asked, requests } = await world(addresses);
    await expect(get("receiver.example")).rejects.toMatchObject({ code: "ADDRESS_REFUSED" });
    expect(asked).toEqual(["receiver.example"]);
    expect(requests()).toBe(0);
  },
);

test.for(["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost"])(
  "%s is not connected to",
  async (host) => {
    const { get, requests } = await world(["127.0.0.1"]);
    await expect(get(host)).rejects.toMatchObject({ code: "ADDRESS_REFUSED" });
    expect(requests()).toBe(0);
  },
);

test("a host that the operator names is, at the address that was looked up, each time anew", async () => {
  const { get, asked } = await world(["127.0.0.1"], ["receiver.example"]);
  expect([await get("receiver.example"), await get("Receiver.Example")]).toEqual(["there", "there"]);
  expect(asked).toEqual(["receiver.example", "receiver.example"]);
  await expect(get("other.example")).rejects.toMatchObject({ code: "ADDRESS_REFUSED" });
});

test("an address that the operator names is connected to", async () => {
  const { get, asked } = await world([], ["127.0.0.1"]);
  expect(await get("127.0.0.1")).toBe("there");
  expect(asked).toEqual([]);
});

test("what a name server says is checked as well", async () => {
  const byServer = resolveByDns([await startNameServer()]);
  const refused = await world([], [], byServer);
  await expect(refused.get("receiver.example")).rejects.toMatchObject({ code: "ADDRESS_REFUSED" });
  expect(refused.requests()).toBe(0);
  const allowed = await world([], ["receiver.example"], byServer);
  expect(await allowed.get("receiver.example")).toBe("there");
});

test("nothing is kept of a host that was connected to, or was not", async () => {
  const { agent, get } = await world(["127.0.0.1"], ["receiver.example"]);
  await get("receiver.example");
  await expect(get("other.example")).rejects.toThrow();
  await vi.waitUntil(() => Object.keys((agent as Agent).stats).length === 0, { timeout: 60_000 });
});
