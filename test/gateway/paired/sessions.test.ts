/** How the session of a client whose server runs over stdio begins and ends, and whose it is. */

import { describe, expect, test } from "vitest";
import { byName, LegacyWire, WireStream } from "../../support/legacy-wire.ts";
import { said, talks } from "./talks.ts";

const INITIALIZE = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "c", version: "1" } },
};
const PING = { jsonrpc: "2.0", id: 2, method: "ping" };

test("DELETE ends the session, what it has open, and the process", async () => {
  const { url, pids, processes } = await talks();
  const own = (await pids()).length;
  const user = await LegacyWire.connect(url);
  const pid = Number(said(await user.result("tools/call", { name: "pid" })));
  const listening = await user.listen();
  const waiting = user.open("tools/call", { name: "wait", arguments: { key: "a" } });
  await user.result("x/heard");
  expect(await pids()).toContain(pid);
  expect((await user.end()).status).toBe(200);
  await listening.over();
  expect((await waiting.answer).message).toBeUndefined();
  await processes(own);
  expect(await pids()).not.toContain(pid);
  expect(await user.send("ping")).toMatchObject({ status: 404, message: { error: { code: -32001 } } });
  expect((await user.end()).status).toBe(404);
});

describe("a request", () => {
  const SESSIONS = [
    ["without a session", undefined, 400, -32600],
    ["of a session that never was", "00000000-0000-4000-8000-000000000000", 404, -32001],
  ] as const;
  const METHODS = ["POST", "GET", "DELETE"] as const;
  const ROWS = SESSIONS.flatMap(([what, session, status, code]) =>
    METHODS.map((method) => [what, method, session, status, code] as const),
  );

  test.each(ROWS)("%s is refused: %s", async (_, method, session, status, code) => {
    const { url } = await talks();
    const body = method === "POST" ? PING : undefined;
    const answer = await new WireStream(url, method, { "mcp-session-id": session }, body).answer;
    expect([answer.status, answer.message.error.code]).toEqual([status, code]);
  });

  test("of a revision that nobody knows is refused", async () => {
    const { url } = await talks();
    const user = await LegacyWire.connect(url);
    const headers = { "mcp-protocol-version": "1999-01-01" };
    const { status, message } = await user.send("ping", {}, { headers });
    expect([status, message.error.code]).toEqual([400, -32600]);
    expect((await user.send("ping", {}, { headers: { "mcp-protocol-version": undefined } })).status).toBe(
      200,
    );
  });

  test("of another kind is refused", async () => {
    const { url } = await talks();
    const answer = await fetch(url, { method: "PUT", body: "{}" });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD, POST, DELETE, OPTIONS"]);
  });

  test("to listen, of a client that reads no streams, is refused", async () => {
    const { url } = await talks();
    const user = await LegacyWire.connect(url);
    const { status } = await (await user.listen({ accept: "application/json" })).answer;
    expect(status).toBe(406);
  });

  test("to initialize once more is refused, and the session goes on", async () => {
    const { url } = await talks();
    const user = await LegacyWire.connect(url);
    expect((await user.post({ ...INITIALIZE, id: 7 }).answer).message).toMatchObject({
      id: 7,
      error: { code: -32600 },
    });
    expect(await user.result("ping")).toEqual({ asked: expect.objectContaining({ method: "ping" }) });
  });
});

test("a session belongs to whoever opened it", async () => {
  const { url } = await talks({ identify: byName });
  const ada = await LegacyWire.connect(url, { headers: { "x-user": "ada" } });
  const asBob = { "x-user": "bob" };
  expect((await ada.send("x/heard", {}, { headers: asBob })).status).toBe(404);
  expect((await (await ada.listen(asBob)).answer).status).toBe(404);
  expect(await ada.result("x/heard")).toEqual({ heard: [expect.anything()] });
});

test("a session that nobody uses ends, and its process", async () => {
  const { url, processes } = await talks({ idleTimeoutMs: 150 });
  const user = await LegacyWire.connect(url);
  await processes(0);
  expect((await user.send("ping")).status).toBe(404);
});

test("one that somebody listens in does not end, and neither does one with a request under way", async () => {
  const { url, pids } = await talks({ idleTimeoutMs: 500 });
  const listening = await LegacyWire.connect(url);
  await listening.listen();
  const waiting = await LegacyWire.connect(url);
  const call = waiting.open("tools/call", { name: "wait", arguments: { key: "a" } });
  await waiting.result("x/heard");
  call.leave();
  const gone = await LegacyWire.connect(url);
  const pid = Number(said(await gone.result("tools/call", { name: "pid" })));
  await expect.poll(pids, { timeout: 60_000, interval: 50 }).not.toContain(pid);
  expect((await gone.send("ping")).status).toBe(404);
  expect((await listening.send("ping")).status).toBe(200);
  expect((await waiting.send("ping")).status).toBe(200);
});

test("when the server has no room for another session, the client is told what the limit is", async () => {
  const { url } = await talks({ maxSessions: 1 });
  const user = await LegacyWire.connect(url);
  const { status, headers, message } = await new WireStream(url, "POST", {}, INITIALIZE).answer;
  expect(status).toBe(503);
  expect(headers["mcp-session-id"]).toBeUndefined();
  expect(message).toMatchObject({ id: 1, error: { message: expect.stringContaining("maxSessions: 1") } });
  await user.end();
  await LegacyWire.connect(url);
});

test("a client that leaves before its session is open leaves no process behind", async () => {
  const { url, pids, processes } = await talks();
  const own = (await pids()).length;
  const params = { ...INITIALIZE.params, protocolVersion: "never answered" };
  const opening = new WireStream(url, "POST", {}, { ...INITIALIZE, params });
  await processes(own + 1);
  opening.leave();
  await processes(own);
});

describe("a server that dies", () => {
  test("in the middle of a call is named, with its exit code; the session is over, and the next one works", async () => {
    const { url } = await talks();
    const user = await LegacyWire.connect(url);
    const listening = await user.listen();
    const waiting = user.open("tools/call", { name: "wait", arguments: { key: "a" } });
    const { error } = (await user.send("tools/call", { name: "exit", arguments: { code: 3 } })).message;
    expect(error).toMatchObject({ code: -32603, message: expect.stringContaining("exited with code 3") });
    expect((await waiting.answer).message.error).toEqual(error);
    await listening.over();
    expect(await user.send("ping")).toMatchObject({ status: 404, message: { error: { code: -32001 } } });
    const again = await LegacyWire.connect(url);
    expect((await again.send("ping")).status).toBe(200);
  });

  test("while nothing is asked ends what the client has open", async () => {
    const { url } = await talks();
    const user = await LegacyWire.connect(url);
    const pid = Number(said(await user.result("tools/call", { name: "pid" })));
    const listening = await user.listen();
    process.kill(pid, "SIGKILL");
    await listening.over();
    expect((await user.send("ping")).status).toBe(404);
  });
});

describe("when the gateway stops", () => {
  test("streams end, calls are told so, and no process is left", async () => {
    const { url, gateway, processes } = await talks();
    const user = await LegacyWire.connect(url);
    const listening = await user.listen();
    const waiting = user.open("tools/call", { name: "wait", arguments: { key: "a" } });
    await user.result("x/heard");
    const closed = gateway.close();
    await listening.over();
    expect((await waiting.answer).message.error.message).toContain("stopping");
    await closed;
    await processes(0);
  });

  test("a call that ends in time has its answer", async () => {
    const { url, gateway, processes } = await talks({ limits: { drainTimeoutMs: 10_000 } });
    const user = await LegacyWire.connect(url);
    const listening = await user.listen();
    const working = user.open("tools/call", { name: "work", arguments: { ms: 300 } });
    await user.result("x/heard");
    const closed = gateway.close();
    await listening.over();
    expect(said((await working.answer).message.result)).toBe("worked");
    await closed;
    await processes(0);
  });
});
