import { afterEach, expect, test, vi } from "vitest";
import type { JsonRpcMessage } from "../../src/protocol/jsonrpc.ts";
import { Session } from "../../src/upstream/sessions/session.ts";
import type { Transport } from "../../src/upstream/transports/transport.ts";

/** A transport to a server that takes everything and never says a word. */
function silence() {
  const told: JsonRpcMessage[] = [];
  let stopped = 0;
  let release = () => {};
  const taken = new Promise<void>((resolve) => {
    release = resolve;
  });
  const garbage: Error[] = [];
  const wire: Transport = {
    onMessage: () => {},
    onGarbage: () => {},
    onLost: () => {},
    tell: (message) => {
      told.push(message);
      return taken;
    },
    ask: () => ({
      ended: new Promise(() => {}),
      stop: () => {
        stopped += 1;
      },
    }),
    setProtocolVersion: () => {},
    initialized: async () => {},
    close: async () => {},
  };
  const session = Session.join({
    transport: wire,
    holder: undefined,
    onGarbage: (error) => garbage.push(error),
  });
  return { wire, session, told, garbage, release: () => release(), stopped: () => stopped };
}

afterEach(() => void vi.useRealTimers());

test("a request that was cancelled is not waited for as long as its session lasts", async () => {
  vi.useFakeTimers();
  const { session, told, stopped } = silence();
  const request = session.request("tools/list", {});
  const response = expect(request.response).rejects.toThrow("closed the stream without an answer");
  request.cancel("too late");
  expect(told).toMatchObject([{ method: "notifications/cancelled", params: { requestId: request.id } }]);
  expect(stopped()).toBe(0);
  await vi.advanceTimersByTimeAsync(5_000);
  await response;
  expect(stopped()).toBe(1);
});

test("pings are answered as fast as the answers are taken, and others are left out", async () => {
  const { wire, told, garbage, release } = silence();
  const ping = (id: number) => wire.onMessage({ jsonrpc: "2.0", id, method: "ping" });
  for (let id = 1; id <= 300; id += 1) ping(id);
  expect(told).toHaveLength(256);
  expect(garbage).toHaveLength(44);
  release();
  await vi.waitFor(() => {
    ping(301);
    expect(told.at(-1)).toEqual({ jsonrpc: "2.0", id: 301, result: {} });
  });
});
