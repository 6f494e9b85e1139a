/** Callers who are told apart by the credential that they send to the server. */

import { randomBytes } from "node:crypto";
import { generateKeyPair } from "jose";
import { expect, onTestFinished, test } from "vitest";
import { byAuthorization } from "../../../src/http/callers/authorization.ts";
import { CHALLENGE, startIssuer } from "../../support/doorkeeper.ts";
import { type GatewaySettings, gatewayFor } from "../../support/gateway.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { ModernClient } from "../../support/modern-client.ts";
import { modernScripts, STATELESS } from "../../support/modern-server.ts";
import { type Script, startScriptedServer } from "../../support/scripted-server.ts";
import { count, textResult } from "../../support/story.ts";
import { type Guarded, guarded } from "./guarded.ts";

const UNKNOWN = { code: -32602, message: "Failed to retrieve task: no such task" };
const NEVER: Script = () => undefined;

/** A server whose calls never end. */
const waiting = (takes: Guarded["takes"], settings: Partial<GatewaySettings> = {}, issuer?: string) =>
  guarded({ takes, scripts: { "tools/call": NEVER }, ...(issuer === undefined ? {} : { issuer }) }, settings);

/** One that verifies tokens, and says whose. */
const verifying = async (settings: Partial<GatewaySettings> = {}) => {
  const issuer = await startIssuer();
  return { ...issuer, ...(await waiting(issuer.verifies, settings, issuer.issuer)) };
};

test("a refreshed token finds the tasks of its subject, and nobody else's token does", async () => {
  const { sign, as } = await verifying();
  const { taskId } = await as(await sign("ada")).callTool("t");

  expect(await as(await sign("ada")).task(taskId)).toMatchObject({ taskId, status: "working" });
  const eve = as(await sign("eve"));
  const [foreign, unknown] = [
    await eve.send("tasks/get", { taskId }, { id: 1 }),
    await eve.send("tasks/get", { taskId: "A".repeat(24) }, { id: 1 }),
  ];
  expect(foreign.message.error).toEqual(UNKNOWN);
  expect([foreign.status, foreign.text]).toEqual([unknown.status, unknown.text]);
});

test("a token with a wrong signature is refused as the server refuses it, and begins nothing", async () => {
  const { sign, as, server } = await verifying();
  const { taskId } = await as(await sign("ada")).callTool("t");
  await server.until(() => count(server, "tools/call") === 1, "the call");

  const { privateKey } = await generateKeyPair("ES256");
  const forger = as(await sign("ada", {}, privateKey));
  for (const [method, params] of [
    ["tasks/get", { taskId }],
    ["tasks/cancel", { taskId }],
    ["tasks/update", { taskId, inputResponses: {} }],
    ["tools/call", { name: "t", arguments: {} }],
    ["subscriptions/listen", { notifications: { taskIds: [taskId] } }],
  ] as const) {
    const { status, headers } = await forger.send(method, params);
    expect([method, status, headers["www-authenticate"]]).toEqual([method, 401, CHALLENGE]);
  }
  expect(count(server, "tools/call")).toBe(1);
});

test("a token that a server takes is not believed who its subject is, if it is signed by anybody else", async () => {
  const { sign, issuer } = await startIssuer();
  const { as } = await waiting(() => true, {}, issuer);
  const token = await sign("ada");
  const { taskId } = await as(token).callTool("t");

  const { privateKey } = await generateKeyPair("ES256");
  const forged = await sign("ada", {}, privateKey);
  expect((await as(forged).send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
  expect(await as(token).task(taskId)).toMatchObject({ taskId });
});

test("a token that says nothing is a caller of its own", async () => {
  const { as } = await waiting((given) => given?.startsWith("Bearer opaque-") ?? false);
  const { taskId } = await as("Bearer opaque-1").callTool("t");

  expect(await as("Bearer opaque-1").task(taskId)).toMatchObject({ taskId });
  expect((await as("Bearer opaque-2").send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
});

test("what the server made of a credential is believed for a while, and a revoked one is refused then", async () => {
  const time = { now: Date.now() };
  const state = { isRevoked: false };
  const { as, door, server } = await waiting(() => !state.isRevoked, {
    identify: byAuthorization({ secret: randomBytes(32), isRequired: false, clock: () => time.now }),
  });
  const ada = as("Bearer opaque");
  const { taskId } = await ada.callTool("t");
  await server.until(() => count(server, "tools/call") === 1, "the call");
  state.isRevoked = true;
  const before = door.visits.length;

  expect(await ada.task(taskId)).toMatchObject({ taskId });
  expect(door.visits.length).toBe(before);
  time.now += 300_001;
  const { status, headers } = await ada.send("tasks/get", { taskId });
  expect([status, headers["www-authenticate"]]).toEqual([401, CHALLENGE]);
});

test("while the server is away, whom it took before is believed, and nobody else", async () => {
  const time = { now: Date.now() };
  const { sign } = await startIssuer();
  const server = await startScriptedServer({ "tools/call": (call) => call.json(textResult("done")) });
  const gateway = await gatewayFor({
    upstream: server.url,
    policy: { mode: "always" },
    identify: byAuthorization({ secret: randomBytes(32), isRequired: false, clock: () => time.now }),
  });
  const as = (authorization: string) => new ModernClient(gateway.url, { headers: { authorization } });
  const token = await sign("ada");
  const { taskId } = await as(token).callTool("t");
  await as(token).settled(taskId);
  await server.close();
  time.now += 300_001;

  expect(await as(token).task(taskId)).toMatchObject({ status: "completed" });
  const { status, headers, message } = await as("Bearer other").send("tasks/get", { taskId });
  expect([status, headers["retry-after"], message.error.data.retryable]).toEqual([503, "1", true]);
});

test("where a credential is required, nobody has a task without one; else those have who know its id", async () => {
  const { sign, verifies } = await startIssuer();
  const door = (given: string | undefined) => given === undefined || verifies(given);
  const required = await waiting(door, { callers: { identify: "authorization" } });
  const { taskId } = await required.as(await sign("ada")).callTool("t");
  const refused = await required.client().send("tasks/get", { taskId });
  expect([refused.status, refused.headers["www-authenticate"]]).toEqual([401, "Bearer"]);
  const called = await required.client().send("tools/call", { name: "t", arguments: {} });
  expect([called.status, called.headers["www-authenticate"]]).toEqual([401, "Bearer"]);
  expect((await required.client().send("tools/list")).status).toBe(200);
  const legacy = await LegacyWire.connect(required.url);
  expect((await legacy.send("tasks/list")).status).toBe(401);

  const auto = await waiting(door);
  const anonymous = await auto.client().callTool("t");
  expect(await auto.client().task(anonymous.taskId)).toMatchObject({ status: "working" });
  const ada = auto.as(await sign("ada"));
  expect((await ada.send("tasks/get", { taskId: anonymous.taskId })).message.error).toEqual(UNKNOWN);
});

test("a credential that the server does not see is a caller of its own", async () => {
  const { sign } = await startIssuer();
  const server = await startScriptedServer({ "tools/call": NEVER });
  onTestFinished(server.close);
  const { url } = await gatewayFor({
    upstream: server.url,
    headers: { authorization: "Bearer the-gateways-own" },
    callers: { identify: "authorization" },
    policy: { mode: "always" },
  });
  const as = (authorization: string) => new ModernClient(url, { headers: { authorization } });
  const token = await sign("ada");
  const { taskId } = await as(token).callTool("t");

  expect(await as(token).task(taskId)).toMatchObject({ taskId });
  expect((await as(await sign("ada")).send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
  const seen = server.received.map(({ headers }) => headers.authorization);
  expect(new Set(seen)).toEqual(new Set(["Bearer the-gateways-own"]));
});

test("2025-11-25: the server's own answer to initialize comes first, and tasks are listed for their subject", async () => {
  const { sign, url, door, server } = await verifying();
  const refused = await new ModernClient(url, { headers: { authorization: "Bearer wrong" } }).post(
    JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params: {} }),
  );
  expect([refused.statusCode, refused.headers["www-authenticate"]]).toEqual([401, CHALLENGE]);
  expect(await refused.body.json()).toEqual({ error: "invalid_token" });
  expect(door.visits.filter(({ authorization }) => authorization === "Bearer wrong")).toHaveLength(1);
  expect(server.received).toEqual([]);

  const connect = async (sub: string) =>
    LegacyWire.connect(url, { headers: { authorization: await sign(sub) } });
  const ada = await connect("ada");
  expect(ada.initialized.capabilities.tasks.list).toEqual({});
  const { taskId } = await ada.begin("t");
  const refreshed = await connect("ada");
  const eve = await connect("eve");
  expect(await refreshed.task(taskId)).toMatchObject({ taskId, status: "working" });
  expect((await refreshed.result("tasks/list")).tasks).toMatchObject([{ taskId }]);
  expect(await eve.error("tasks/get", { taskId })).toEqual(UNKNOWN);
  expect((await eve.result("tasks/list")).tasks).toEqual([]);
});

test("a token that is refreshed in the middle of a session still has its tasks", async () => {
  const { sign, url } = await verifying();
  const wire = await LegacyWire.connect(url, { headers: { authorization: await sign("ada") } });
  const { taskId } = await wire.begin("t");
  const headers = { authorization: await sign("ada") };
  expect((await wire.send("tasks/get", { taskId }, { headers })).message.result).toMatchObject({ taskId });
});

test("a server of 2026-07-28 is asked what it is", async () => {
  const { sign, verifies, issuer } = await startIssuer();
  const { url } = await guarded({
    takes: verifies,
    issuer,
    scripts: { ...modernScripts(), "tools/call": NEVER },
    options: STATELESS,
  });
  const as = async (sub: string) => new ModernClient(url, { headers: { authorization: await sign(sub) } });
  const { taskId } = await (await as("ada")).callTool("t");
  expect(await (await as("ada")).task(taskId)).toMatchObject({ taskId });
  expect((await (await as("eve")).send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
});
