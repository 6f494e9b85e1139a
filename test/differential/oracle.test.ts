/** The gateway in front of a legacy server, and a modern server that offers the same: they answer alike, or it is written down why not. */

import { expect, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import { differences } from "./differences.ts";
import { LISTED } from "./listed.ts";
import { REQUESTS } from "./requests.ts";
import { legacyTwin, modernTwin } from "./twins.ts";

test.for(Object.keys(REQUESTS))(
  "the gateway answers as a modern server does, but for what is listed: %s",
  async (name) => {
    const oracle = await modernTwin();
    const { url } = await gatewayFor({ upstream: await legacyTwin() });
    const send = REQUESTS[name] ?? (() => Promise.reject(new Error("no such request")));

    const found = differences(await send(oracle), await send(url));
    const listed = LISTED.filter(({ requests }) => requests.includes(name)).map(
      ({ difference }) => difference,
    );
    expect(found).toEqual(listed.sort());
  },
);

test("every difference that is listed belongs to a request, and has a reason", () => {
  const unknown = LISTED.flatMap(({ requests }) => requests).filter((name) => !Object.hasOwn(REQUESTS, name));
  expect(unknown).toEqual([]);
  expect(LISTED.filter(({ requests, reason }) => requests.length === 0 || reason === "")).toEqual([]);
});

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
