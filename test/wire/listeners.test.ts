/** Many calls on one connection leave nothing behind on it, however each of them went. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Agent, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { gate } from "../support/story.ts";
import { DONE, EVENTS } from "./answers.ts";
import { call, posting } from "./legacy-session.ts";
import { open } from "./raw-client.ts";
import { comments, silence } from "./silence.ts";

const WAYS = ["quick", "silent", "streaming", "listening"] as const;

test("a connection has as many listeners after twenty calls as after four", async () => {
  const sockets = new Set<Socket>();
  const seen = (message: unknown) => {
    const { socket, headers, url } = (message as { request: IncomingMessage }).request;
    // Such a request goes on to the server, by another path.
    if (headers["x-kept"] !== undefined && url === "/tested/mcp") sockets.add(socket);
  };
  subscribe("http.server.request.start", seen);
  onTestFinished(() => void unsubscribe("http.server.request.start", seen));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  // Whichever of the two sides comes first makes it: the client may hear comments before the server has heard the call.
  const endings = new Map<string, ReturnType<typeof gate<void>>>();
  const ending = (key: string) => {
    const made = endings.get(key) ?? gate<void>();
    endings.set(key, made);
    return made;
  };
  const tested = await silence({
    GET: async (listening) => {
      const stream = listening.sse();
      await ending(String(listening.headers["x-key"])).opened;
      stream.raw(EVENTS).end();
    },
    "tools/call": async (call) => {
      const way = call.message.params?.name;
      const stream = way === "streaming" ? call.sse() : undefined;
      if (way !== "quick") await ending(String(call.headers["x-key"])).opened;
      if (stream) stream.raw(EVENTS).end();
      else call.json(DONE);
    },
  });
  const once = async (round: number) => {
    for (const way of WAYS) {
      const key = `${way}-${round}`;
      const more = [...tested.session.headers, ["X-Kept", "1"], ["X-Key", key]] as const;
      const asking =
        way === "listening"
          ? { method: "GET", headers: [["Accept", "text/event-stream"], ...more] as const }
          : posting(call(round, way), more);
      const answer = open(tested.url, { ...asking, agent });
      if (way !== "quick") await comments(answer, 1);
      ending(key).open();
      expect((await answer.over()).isWhole).toBe(true);
    }
    await tested.idle();
    return [...sockets].map((socket) =>
      socket.eventNames().map((event) => [String(event), socket.listenerCount(event)]),
    );
  };

  const first = await once(0);
  for (let round = 1; round < 4; round++) await once(round);
  const last = await once(4);

  expect(sockets.size).toBe(1);
  expect(last).toEqual(first);
});
