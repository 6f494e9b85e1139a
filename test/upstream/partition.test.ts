import { expect, onTestFinished, test } from "vitest";
import { upstreamAgents } from "../../src/upstream/transports/agents.ts";
import { partitionOf } from "../../src/upstream/transports/partition.ts";

test("agents are never given to callers with other headers, and few are made for each", () => {
  const agents = upstreamAgents();
  onTestFinished(() => agents.destroy());
  const given = (headers: Record<string, string>) =>
    new Set(Array.from({ length: 100 }, () => agents.next(headers)));
  const [alice, mallory, nobody] = [given({ authorization: "a" }), given({ authorization: "m" }), given({})];
  expect([alice.size, mallory.size, nobody.size]).toEqual([4, 4, 32]);
  expect(new Set([...alice, ...mallory, ...nobody]).size).toBe(40);
  expect([...given({ authorization: "a" })].every((agent) => alice.has(agent))).toBe(true);
});

test.for<[what: string, a: readonly string[], b: readonly string[], isSame: boolean]>([
  ["the order", ["Authorization", "x", "Cookie", "y"], ["cookie", "y", "authorization", "x"], true],
  ["the case of a name", ["X-Api-Key", "x"], ["x-api-key", "x"], true],
  ["the case of a value", ["x-api-key", "x"], ["x-api-key", "X"], false],
  ["what a value is called", ["x-a", "1"], ["x-b", "1"], false],
  ["a header more", ["x-a", "1"], ["x-a", "1", "x-b", "2"], false],
  ["who is asking for what", ["Mcp-Name", "a", "Content-Length", "1"], ["Mcp-Name", "b"], true],
])("partitions differ by %s: or not", ([, a, b, isSame]) => {
  expect(partitionOf(a) === partitionOf(b)).toBe(isSame);
});
