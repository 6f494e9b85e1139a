/** A real server over stdio: server-everything, unchanged. */

import { expect, test } from "vitest";
import type { Progress } from "../../src/upstream/sessions/session.ts";
import { everything } from "../peers/peers.ts";
import { listeningLog } from "../support/stdio-servers/listening-log.ts";
import { opened, textOf } from "../support/stdio-servers/opened.ts";
import { script } from "../support/stdio-servers/scripts.ts";

const SERVER = { ...script("silent"), args: [everything("2025.12.18", "stdio")] };

test("a call, with what the server says of itself and writes to stderr", async () => {
  const { log, line } = listeningLog();
  const { session, text } = await opened({ ...SERVER, log });
  expect(session.server).toMatchObject({ protocolVersion: "2025-11-25", capabilities: { tools: {} } });
  expect(await text("echo", { message: "hello" })).toBe("Echo: hello");
  expect(await line("the server says")).toMatchObject({ stderr: expect.any(String) });
});

test("progress, and that the request was taken", async () => {
  const { call } = await opened(SERVER);
  const heard: (Progress | "accepted")[] = [];
  const response = await call(
    "longRunningOperation",
    { duration: 0.3, steps: 3 },
    { onProgress: (progress) => void heard.push(progress), onAccepted: () => void heard.push("accepted") },
  );
  expect(textOf(response)).toContain("completed");
  expect(heard).toEqual(["accepted", ...[1, 2, 3].map((progress) => ({ progress, total: 3 }))]);
});

test("a question of the server, answered", async () => {
  const { text } = await opened(SERVER, {
    capabilities: { elicitation: {} },
    onRequest: ({ id, method }, session) => {
      expect(method).toBe("elicitation/create");
      void session.respond(id, { result: { action: "decline" } });
    },
  });
  expect(await text("startElicitation")).toContain("declined");
});

test("a call that is cancelled leaves the session to others", async () => {
  const { session, text } = await opened(SERVER);
  const request = session.request("tools/call", {
    name: "longRunningOperation",
    arguments: { duration: 60, steps: 1 },
  });
  const ended = expect(request.response).rejects.toThrow("The session with the server was closed");
  request.cancel("changed my mind");
  expect(await text("echo", { message: "still there" })).toBe("Echo: still there");
  await session.close();
  await ended;
});
