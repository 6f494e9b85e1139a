/** Credentials that are made up to be taken for somebody else, to be believed for longer, or to keep others from being believed. */

import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { generateKeyPair } from "jose";
import { expect, test } from "vitest";
import { byAuthorization } from "../../../src/http/callers/authorization.ts";
import type { Caller, Route } from "../../../src/requests/request.ts";
import { UpstreamFailure } from "../../../src/upstream/failure.ts";
import { startIssuer, type Taken } from "../../support/doorkeeper.ts";
import type { GatewaySettings } from "../../support/gateway.ts";
import type { Claims } from "../../support/jwks-issuer.ts";
import type { Script } from "../../support/scripted-server.ts";
import { type Guarded, guarded } from "./guarded.ts";

const UNKNOWN = { code: -32602, message: "Failed to retrieve task: no such task" };

type Judge = (authorization: string) => Taken | Promise<Taken>;

test("a server that knows its users by their keys is not asked whose subject a token names", async () => {
  // As with key pairs of service accounts: what a user writes into a token of his own is up to him.
  const { sign, issuer } = await startIssuer();
  const mallory = await generateKeyPair("ES256");
  const { as, door } = await judged(
    (given) => (given === "" ? false : given !== "Bearer wrong"),
    {},
    { issuer },
  );
  const [ada, honest, forged, refreshed] = [
    await sign("ada"),
    await sign("mallory", {}, mallory.privateKey),
    await sign("ada", {}, mallory.privateKey),
    await sign("ada"),
  ];
  const { taskId } = await as(ada).callTool("t");
  expect((await as(honest).send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
  expect((await as(forged).send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
  expect(await as(refreshed).task(taskId)).toMatchObject({ taskId });
  // The server gets the tokens that its clients have sent, and no other.
  const seen = new Set(door.visits.map(({ authorization }) => authorization));
  seen.delete(undefined);
  expect(seen).toEqual(new Set([ada, honest, forged, refreshed]));
});

test.for<[what: string, claims: Claims, header: Claims]>([
  ["has expired", { exp: 1 }, {}],
  ["has no end", { exp: undefined }, {}],
  ["is for another server", { aud: "https://other.example/mcp" }, {}],
  ["is for nobody", { aud: undefined }, {}],
  ["is another issuer's", { iss: "https://login.example" }, {}],
  ["is an ID token", { nonce: "n" }, {}],
  ["is a logout token", {}, { typ: "logout+jwt" }],
  ["names a key that nobody has", {}, { kid: "other" }],
])("a token that %s names nobody, though the server takes it", async ([, claims, header]) => {
  const { sign, issuer, jwks } = await startIssuer();
  const { as } = await judged((given) => given !== "", {}, { issuer });
  const { taskId } = await as(await sign("ada")).callTool("t");
  const other = `Bearer ${await jwks.token({ sub: "ada", ...claims }, { header })}`;

  expect((await as(other).send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
  const own = await as(other).callTool("t");
  expect(await as(other).task(own.taskId)).toMatchObject({ taskId: own.taskId });
});

test("a token that nobody can verify is a caller of its own, and its bearer finds his tasks by it", async () => {
  const { sign, verifies } = await startIssuer();
  const { as } = await judged(verifies);
  const token = await sign("ada");
  const { taskId } = await as(token).callTool("t");
  expect(await as(token).task(taskId)).toMatchObject({ taskId });
  expect((await as(await sign("ada")).send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
});

test("an issuer that the operator vouches for counts, whatever the server says of itself", async () => {
  const { sign, verifies, issuer } = await startIssuer();
  const jwt = { issuer, audience: ["api"], clockToleranceMs: 0 };
  const { as } = await judged(verifies, { callers: { identify: "auto", jwt } });
  const { taskId } = await as(await sign("ada", { aud: "api" })).callTool("t");
  expect(await as(await sign("ada", { aud: "api" })).task(taskId)).toMatchObject({ taskId });
  expect((await as(await sign("ada")).send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
});

test("the server's only session takes no credential that was revoked since", async () => {
  const time = { now: Date.now() };
  const state = { isRevoked: false };
  const identify = byAuthorization({ secret: randomBytes(32), isRequired: false, clock: () => time.now });
  const { as } = await judged(() => !state.isRevoked, { sessions: "single", identify });
  const { taskId } = await as("Bearer opaque").callTool("quick");
  await as("Bearer opaque").settled(taskId);
  time.now += 300_001;
  expect(await as("Bearer opaque").task(taskId)).toMatchObject({ taskId });
  state.isRevoked = true;
  time.now += 300_001;
  expect((await as("Bearer opaque").send("tasks/get", { taskId })).status).toBe(401);
});

test("a server that gives no answer is believed for an hour in what it said", async () => {
  const { of, time, state } = asked();
  expect((await of("Bearer known")).refusal).toBeUndefined();
  state.answer = () => Promise.reject(new UpstreamFailure("busy", { mayHaveRun: false, status: 429 }));
  time.now += 3_599_999;
  expect((await of("Bearer known")).refusal).toBeUndefined();
  time.now += 1;
  expect(await of("Bearer known")).toMatchObject({ refusal: { httpStatus: 503 } });
});

test("credentials that are made up displace none that is good", async () => {
  const { of, state } = asked();
  await of("Bearer known");
  state.answer = () => Promise.reject(new UpstreamFailure("no", { mayHaveRun: false, status: 401 }));
  for (let at = 0; at < 10_001; at += 1) await of(`Bearer ${at}`);
  expect((await of("Bearer known")).refusal).toBeUndefined();
});

test("credentials that are made up keep nobody from being asked about whom the server knows", async () => {
  const { of, time, state } = asked();
  await of("Bearer known");
  await of("Bearer revoked");
  time.now += 300_001;
  state.answer = () => new Promise(() => {});
  for (let at = 0; at < 300; at += 1) void of(`Bearer ${at}`);
  expect(await of("Bearer late")).toMatchObject({ refusal: { httpStatus: 503 } });
  state.answer = (given) =>
    given === "Bearer revoked"
      ? Promise.reject(new UpstreamFailure("no", { mayHaveRun: false, status: 401 }))
      : Promise.resolve();
  expect((await of("Bearer known")).refusal).toBeUndefined();
  expect(await of("Bearer revoked")).toMatchObject({ refusal: { httpStatus: 401 } });
});

/** A server of which one tool ends at once, and the others never. */
const judged = (
  judge: Judge,
  settings: Partial<GatewaySettings> = {},
  more: Pick<Guarded, "issuer"> = {},
) => {
  const scripts: Readonly<Record<string, Script>> = {
    "tools/call": (call) => {
      if (call.message.params?.name === "quick") call.json({ content: [] });
    },
  };
  return guarded({ takes: (given = "") => judge(given), scripts, ...more }, settings);
};

/** Who is calling, as somebody finds out who asks a server that answers what the test says. */
function asked() {
  const time = { now: 0 };
  const state = { answer: (_authorization = ""): Promise<void> => Promise.resolve() };
  const identify = byAuthorization({ secret: randomBytes(32), isRequired: false, clock: () => time.now });
  const route = {
    config: { name: "r", upstream: { transport: "streamable-http", headers: {}, forwardHeaders: [] } },
    upstream: { accepts: (headers: Record<string, string>) => state.answer(headers.authorization) },
  } as unknown as Route;
  const of = async (authorization: string): Promise<Caller> => {
    const caller = await identify({ headers: { authorization } } as IncomingMessage, route);
    return caller.confirm === undefined ? caller : caller.confirm();
  };
  return { of, time, state };
}
