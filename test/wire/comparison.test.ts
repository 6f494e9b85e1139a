/** The same session, directly and through the gateway: what reaches the client is the same, or it is written down why not. */

import { describe, expect, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import { type Exchange, LISTED, type Listed } from "./differences.ts";
import { differences, type Recorded, VOLATILE } from "./recording.ts";
import { COMPARED } from "./sessions.ts";

const met = new Set<Listed>();

describe.each(Object.entries(COMPARED))("%s", (server, { start, versions, speak }) => {
  test.each(versions)("a session of %s", async (version) => {
    const [itself, upstream] = await Promise.all([start(), start()]);
    const { url } = await gatewayFor({ upstream });
    const [directly, through] = await Promise.all([speak(itself, version), speak(url, version)]);

    expect(Object.keys(through)).toEqual(Object.keys(directly));
    const wrong = Object.entries(directly).flatMap(([name, answer]) =>
      judged({ server, version, name, directly: answer }, through[name]),
    );
    expect(wrong).toEqual([]);
  });
});

test("every difference that is listed has been met, and has a reason", () => {
  expect(LISTED.filter((listed) => !met.has(listed))).toEqual([]);
  expect([...LISTED, ...VOLATILE].filter(({ reason }) => reason === "")).toEqual([]);
});

test("differences are found wherever they are", () => {
  const one: Recorded = {
    status: 200,
    reason: "OK",
    before: [],
    headers: [
      ["A", "1"],
      ["B", "2"],
      ["b", "2"],
    ],
    body: '{"a":[1,2],"b":[3,4,5,6,7],"c":[8,9]}',
    trailers: [],
    isWhole: true,
  };
  expect(differences(one, one)).toEqual([]);
  expect(differences(one, { ...one, status: 201, isWhole: false })).toEqual([
    "isWhole: - true + false",
    "status: - 200 + 201",
  ]);
  const headers = [
    ["b", "2"],
    ["A", "1"],
    ["c", "2"],
  ] as const;
  expect(differences(one, { ...one, headers })).toEqual([
    "header + c: 2",
    "header - B: 2",
    "headers in another order: A: 1 | b: 2 + b: 2 | A: 1",
  ]);
  const body = one.body.replace("[1", "[1,1").replace("}", ',"d":{}}');
  expect(differences(one, { ...one, body })).toEqual(['body + ,"d":{}', "body + 1,"]);
  expect(differences(one, { ...one, body: `${one.body}\n` })).toEqual(["body + \n"]);
});

/** What is not listed, and what is listed and not there. */
function judged(exchange: Exchange, through: Recorded | undefined): string[] {
  const found = through === undefined ? [] : differences(exchange.directly, through);
  const expected = LISTED.filter(({ where }) => where(exchange));
  const isFound = (listed: Listed) => found.some((difference) => matches(listed, difference));
  for (const listed of expected.filter(isFound)) met.add(listed);
  const unlisted = found.filter((difference) => !expected.some((listed) => matches(listed, difference)));
  const gone = expected.filter((listed) => !isFound(listed));
  return [
    ...unlisted.map((difference) => `${exchange.name}: not listed: ${difference}`),
    ...gone.map(({ difference }) => `${exchange.name}: listed, but gone: ${difference}`),
  ];
}

function matches({ difference: listed }: Listed, difference: string): boolean {
  return typeof listed === "string" ? listed === difference : listed.test(difference);
}
