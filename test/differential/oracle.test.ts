/** The gateway in front of a legacy server, and a modern server that offers the same: they answer alike, or it is written down why not. */

import { expect, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import { differences } from "./differences.ts";
import { LEGACY_LISTED, LISTED, type Listed } from "./listed.ts";
import { LEGACY_REQUESTS, REQUESTS } from "./requests.ts";
import { legacyTwin, modernTwin } from "./twins.ts";

test.for(Object.keys(REQUESTS))(
  "the gateway answers as a modern server does, but for what is listed: %s",
  async (name) => {
    const oracle = await modernTwin();
    const { url } = await gatewayFor({ upstream: await legacyTwin() });
    const send = REQUESTS[name] ?? (() => Promise.reject(new Error("no such request")));

    expect(differences(await send(oracle), await send(url))).toEqual(listedFor(name, LISTED));
  },
);

test.for(Object.keys(LEGACY_REQUESTS))(
  "the gateway answers a legacy client as its server does, but for what is listed: %s",
  async (name) => {
    const server = await legacyTwin();
    const { url } = await gatewayFor({ upstream: server });
    const send = LEGACY_REQUESTS[name] ?? (() => Promise.reject(new Error("no such request")));
    expect(differences(await send(server), await send(url))).toEqual(listedFor(name, LEGACY_LISTED));
  },
);

test.for([
  ["modern", LISTED, REQUESTS],
  ["legacy", LEGACY_LISTED, LEGACY_REQUESTS],
] as const)(
  "every difference that is listed belongs to a request, and has a reason: %s",
  ([, listed, all]) => {
    const unknown = listed.flatMap(({ requests }) => requests).filter((name) => !Object.hasOwn(all, name));
    expect(unknown).toEqual([]);
    expect(listed.filter(({ requests, reason }) => requests.length === 0 || reason === "")).toEqual([]);
  },
);

test("differences are found wherever they are", () => {
  const answer = { status: 200, headers: {}, text: "", before: [] };
  const one = { ...answer, message: { id: 1, result: { a: [1, {}], b: null } } };
  expect(differences(one, one)).toEqual([]);
  expect(differences(one, { ...one, status: 400 })).toEqual(["status: 200 | 400"]);
  expect(differences(one, { ...one, message: { id: "1", result: { a: [1], c: 0 } } })).toEqual([
    '/id: 1 | "1"',
    "/result/a/1: {} | -",
    "/result/b: null | -",
    "/result/c: - | 0",
  ]);
  expect(differences(one, { ...one, message: { id: 1, error: { code: -1, message: "x" } } })).toEqual([
    "answer: result | error -1",
  ]);
  expect(differences(one, { ...one, before: [{ method: "x" }] })).toEqual(['before/0/method: - | "x"']);
});

function listedFor(name: string, listed: readonly Listed[]): string[] {
  return listed
    .filter(({ requests }) => requests.includes(name))
    .map(({ difference }) => difference)
    .sort();
}
