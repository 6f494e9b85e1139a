import { expect, onTestFinished, test } from "vitest";
import { type ProbeResult, probe } from "../../src/upstream/modern/probe.ts";
import { upstreamAgents } from "../../src/upstream/transports/agents.ts";
import { type Script, startScriptedServer } from "../support/scripted-server.ts";

const DISCOVERED = {
  resultType: "complete",
  supportedVersions: ["2026-07-28"],
  capabilities: { tools: {} },
  ttlMs: 0,
  cacheScope: "private",
};

async function probed(script: Script, timeoutMs?: number): Promise<ProbeResult> {
  const server = await startScriptedServer({ "server/discover": script }, { stateless: true });
  onTestFinished(server.close);
  return probeOf(server.url, timeoutMs);
}

function probeOf(url: URL, timeoutMs?: number): Promise<ProbeResult> {
  const agents = upstreamAgents();
  onTestFinished(() => agents.destroy());
  const clientInfo = { name: "test", version: "0" };
  const limit = timeoutMs === undefined ? {} : { timeoutMs };
  return probe({ url, headers: { "x-key": "k" }, dispatcher: agents.next(), clientInfo, ...limit });
}

test("a modern server tells what it is", async () => {
  const _meta = { "io.modelcontextprotocol/serverInfo": { name: "s" } };
  const result = await probed((call) => call.json({ ...DISCOVERED, instructions: "Be brief.", _meta }));
  expect(result).toEqual({
    era: "modern",
    description: {
      supportedVersions: ["2026-07-28"],
      capabilities: { tools: {} },
      serverInfo: { name: "s" },
      instructions: "Be brief.",
    },
  });
});

test.for<[string, Script, ProbeResult["era"]]>([
  ["a result on a stream", (call) => call.sse().event(call.answer(DISCOVERED)).end(), "modern"],
  ["a result of another kind", (call) => call.json({ tools: [] }), "legacy"],
  [
    "a result for another revision",
    (call) => call.json({ ...DISCOVERED, supportedVersions: ["2027-01-01"] }),
    "other",
  ],
  ["HeaderMismatch", (call) => call.error(-32020, "no", { status: 400 }), "modern"],
  [
    "MissingRequiredClientCapability",
    (call) => call.error(-32021, "no", { status: 400, data: { requiredCapabilities: {} } }),
    "modern",
  ],
  ["the same code without its data", (call) => call.error(-32021, "no", { status: 400 }), "legacy"],
  [
    "UnsupportedProtocolVersion",
    (call) => call.error(-32022, "no", { status: 400, data: { supported: ["2027-01-01"] } }),
    "other",
  ],
  ["the same code without its data", (call) => call.error(-32022, "no", { status: 400, data: {} }), "legacy"],
  ["method not found", (call) => call.error(-32601, "no"), "legacy"],
  ["no session", (call) => call.error(-32000, "no session", { status: 400 }), "legacy"],
  ["a page", (call) => call.reply(200, "<p>hello"), "legacy"],
  ["a page that is not found", (call) => call.reply(404, "<p>hello"), "legacy"],
  ["an acknowledgement", (call) => call.accept(), "legacy"],
  ["the wish for a login", (call) => call.reply(401, {}), "unknown"],
  [
    "a refusal of the login",
    (call) => call.error(-32022, "no", { status: 403, data: { supported: [] } }),
    "unknown",
  ],
  ["too many requests", (call) => call.reply(429, {}), "unknown"],
  ["the same in JSON-RPC", (call) => call.error(-32000, "slow down", { status: 429 }), "unknown"],
  ["a fault in JSON-RPC", (call) => call.error(-32603, "away", { status: 500 }), "unknown"],
  ["a fault of the server's", (call) => call.reply(503, "<p>away"), "unknown"],
  ["a redirection", (call) => call.reply(307, "", { location: "/other" }), "unknown"],
  ["a cut connection", (call) => call.cut(), "unknown"],
  ["an answer without an end", (call) => call.reply(200, { padding: "x".repeat(1_100_000) }), "unknown"],
])("%s", async ([, script, era]) => {
  expect((await probed(script)).era).toBe(era);
});

test("a server that does not answer is given up, and its request let go", async () => {
  const server = await startScriptedServer({ "server/discover": () => {} }, { stateless: true });
  onTestFinished(server.close);
  expect(await probeOf(server.url, 1_000)).toMatchObject({ era: "unknown", isLate: true });
  const { closed, headers } = await server.arrival("server/discover");
  await closed;
  expect(headers).toMatchObject({
    "x-key": "k",
    "mcp-method": "server/discover",
    "mcp-protocol-version": "2026-07-28",
  });
});

test("a server that is not there is not known", async () => {
  expect(await probeOf(new URL("http://127.0.0.1:9/mcp"))).toMatchObject({ era: "unknown", isLate: false });
});
