/** Clients of HTTP+SSE that know no tasks, before a server of HTTP+SSE (`fallback: tools`). */

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { expect, onTestFinished, test } from "vitest";
import { type GatewaySettings, gatewayFor } from "../../support/gateway.ts";
import { answering, type SseScript, startSseServer } from "../../support/sse-server.ts";
import { accept, form, gate, textOf, textResult } from "../../support/story.ts";
import { follow, PATIENT, type Plain, SOON } from "./model.ts";

const initialize: SseScript = (exchange, stream) => {
  const protocolVersion = exchange.message.params?.protocolVersion;
  const serverInfo = { name: "s", version: "1" };
  return answering({ protocolVersion, capabilities: { tools: {} }, serverInfo })(exchange, stream);
};

async function before(call: SseScript, settings: Partial<GatewaySettings> = { policy: SOON }) {
  const server = await startSseServer({ initialize, "tools/call": call });
  onTestFinished(server.close);
  const { url } = await gatewayFor({ upstream: server.url, transport: "sse", ...settings });
  const client = new Client({ name: "t", version: "0" }, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, () => accept({ name: "Ada" }) as never);
  await client.connect(new SSEClientTransport(url));
  onTestFinished(() => client.close());
  const plain: Plain = {
    list: () => client.listTools(),
    call: (name, args = {}) => client.callTool({ name, arguments: args }),
  };
  return { server, plain, client };
}

test("a long call is told in words, and its result comes by the tool", async () => {
  const { opened, open } = gate();
  const { plain, server } = await before(async (call, stream) => {
    call.accept();
    await opened;
    stream.event(call.answer(textResult("done")));
  });
  expect((await plain.list()).tools.map(({ name }: { name: string }) => name)).toContain("taskgate_result");
  const first = await plain.call("t");
  open();
  expect(textOf(await follow(plain, first))).toBe("done");
  expect(server.received.filter(({ method }) => method === "tools/call")).toHaveLength(1);
});

test("a question is asked while the client waits", async () => {
  const { plain } = await before(async (call, stream) => {
    call.accept();
    const told = await stream.ask("elicitation/create", form("Who?"));
    stream.event(call.answer(textResult(JSON.stringify("result" in told ? told.result : told.error))));
  });
  expect(JSON.parse(textOf(await follow(plain, await plain.call("t"))) ?? "")).toEqual(
    accept({ name: "Ada" }),
  );
});

test("the session at the server ends with the client's stream", async () => {
  const { server, client } = await before(answering(textResult("done")), { policy: PATIENT });
  expect(await client.callTool({ name: "t" })).toMatchObject(textResult("done"));
  const { session } = await server.arrival("tools/call");
  expect(server.sessions.has(session.id ?? "")).toBe(true);
  await client.close();
  await server.until(() => !server.sessions.has(session.id ?? ""), "the end of the session");
});
