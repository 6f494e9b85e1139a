/** Ids under which a server is asked in the sessions of paired clients, where the server knows requests by the id alone. */

import { expect, onTestFinished, test } from "vitest";
import type { RequestId } from "../../../src/protocol/jsonrpc.ts";
import type { EventStream } from "../../support/event-stream.ts";
import { gatewayFor } from "../../support/gateway.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { type SseScript, type SseServer, startSseServer } from "../../support/sse-server.ts";
import { textOf } from "../../support/story.ts";

const TOGETHER = 10;

/** A server that gives each answer to whoever asked with its id, in whatever session, and none before there are so many calls. */
async function byIdAlone(): Promise<SseServer> {
  const open: { readonly id: RequestId | undefined; readonly stream: EventStream }[] = [];
  const calls: (() => void)[] = [];
  const answers: SseScript = (call, stream) => {
    const { id, params } = call.message;
    call.accept();
    open.push({ id, stream });
    calls.push(() => {
      const said = String((params?.arguments as { said?: unknown })?.said);
      const answer = call.answer({ content: [{ type: "text", text: said }] });
      for (const waiting of open.filter((other) => other.id === id)) waiting.stream.event(answer);
    });
    if (calls.length === TOGETHER) for (const answer of calls) answer();
  };
  const initialize: SseScript = (call, stream) => {
    call.accept();
    const { protocolVersion } = call.message.params ?? {};
    const serverInfo = { name: "by id alone", version: "1" };
    stream.event(call.answer({ protocolVersion, capabilities: { tools: {} }, serverInfo }));
  };
  const server = await startSseServer({ initialize, "tools/call": answers });
  onTestFinished(server.close);
  return server;
}

test("calls of two gateways, in sessions of their own and of clients, and of the clients themselves do not meet", async () => {
  const server = await byIdAlone();
  const settings = { upstream: server.url, transport: "sse", policy: { mode: "always" } } as const;
  const gateways = [await gatewayFor(settings), await gatewayFor(settings)];
  // What the clients ask themselves has ids of their own; those are not the gateway's to keep apart.
  let clientsId = 0;
  const asked = gateways.flatMap(({ url, client }, gateway) => {
    const own = async () => {
      const user = client();
      const { taskId } = await user.callTool("t", { said: `modern ${gateway}` });
      return textOf((await user.settled(taskId)).result);
    };
    const paired = [1, 2].map(async (session) => {
      const user = await LegacyWire.connect(url);
      const said = `task ${gateway} ${session}`;
      const task = async () => {
        const { taskId } = await user.begin("t", { arguments: { said } });
        return textOf(await user.result("tasks/result", { taskId }));
      };
      clientsId += 1;
      const plain = user.result(
        "tools/call",
        { name: "t", arguments: { said: `plain ${gateway} ${session}` } },
        { id: clientsId },
      );
      return [await task(), textOf(await plain)];
    });
    return [own(), ...paired];
  });
  expect((await Promise.all(asked)).flat()).toEqual(
    [0, 1].flatMap((gateway) => [
      `modern ${gateway}`,
      ...[1, 2].flatMap((session) => [`task ${gateway} ${session}`, `plain ${gateway} ${session}`]),
    ]),
  );

  const calls = server.received.filter(({ method }) => method === "tools/call");
  const ids = calls.map(({ message }) => String(message.id));
  expect(new Set(ids).size).toBe(TOGETHER);
  const tokens = calls.flatMap(({ message }) => {
    const { progressToken } = (message.params?._meta ?? {}) as { progressToken?: unknown };
    return progressToken === undefined ? [] : [progressToken];
  });
  expect(tokens.length).toBe(TOGETHER - clientsId);
  expect(new Set(tokens).size).toBe(tokens.length);
  for (const id of [...ids.filter((id) => Number(id) > clientsId), ...tokens])
    expect(String(id)).toMatch(/^(?:taskgate-[\da-f-]{36}-)?\d{7,}$/);
});
