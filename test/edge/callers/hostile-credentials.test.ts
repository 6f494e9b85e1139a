/** Credentials that are made up to be taken for somebody else, to be believed for longer, or to keep others from being believed. */

import { createHmac, randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { expect, test } from "vitest";
import { byAuthorization } from "../../../src/edge/callers/authorization.ts";
import type { Caller, Route } from "../../../src/lanes/lane.ts";
import { UpstreamFailure } from "../../../src/upstreams/failure.ts";
import { ISSUER, startIssuer, type Taken } from "../../support/doorkeeper.ts";
import type { GatewaySettings } from "../../support/gateway.ts";
import { modernScripts, STATELESS } from "../../support/modern-server.ts";
import type { Script } from "../../support/scripted-server.ts";
import { guarded } from "./guarded.ts";

const UNKNOWN = { code: -32602, message: "Failed to retrieve task: no such task" };

type Judge = (authorization: string) => Taken | Promise<Taken>;

test.for<[what: string, settings: Partial<GatewaySettings>, isModern: boolean]>([
  ["of 2026-07-28", {}, true],
  ["of before", { transport: "streamable-http" }, false],
])("a token that a server %s does not even look at names nobody", async ([, settings, isModern]) => {
  const { sign, verifies } = await startIssuer();
  // The signature is the last that it looks at.
  const { as } = await judged(
    async (given) => {
      if (said(given).crit !== undefined) return 400;
      return verifies(given);
    },
    settings,
    isModern,
  );
  const { taskId } = await as(await sign("ada")).callTool("t");
  expect(await as(await sign("ada")).task(taskId)).toMatchObject({ taskId });

  const forged = forge({ alg: "ES256", kid: "one", crit: ["x"] }, { iss: ISSUER, sub: "ada" });
  const { status, message } = await as(forged).send("tasks/get", { taskId });
  expect([status, message.error.data.retryable]).toEqual([503, true]);
});

test("a token that the server takes without a look at its signature names nobody, whatever it does with others", async () => {
  const { sign, verifies } = await startIssuer();
  // Who was somebody once is nobody in particular.
  const { as } = await judged((given) => said(given).exp === 1 || verifies(given));
  const { taskId } = await as(await sign("ada")).callTool("t");
  expect(await as(await sign("ada")).task(taskId)).toMatchObject({ taskId });

  const expired = forge({ alg: "ES256", kid: "one" }, { iss: ISSUER, sub: "ada", exp: 1 });
  expect((await as(expired).send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
});

test.for([400, 403, 500])(
  "who is refused with %i had no wrong signature, and names nobody",
  async (status) => {
    const { sign } = await startIssuer();
    const token = await sign("ada");
    const other = await sign("ada");
    const { as } = await judged((given) => (given === token || given === other ? true : status));
    const { taskId } = await as(token).callTool("t");

    expect(await as(token).task(taskId)).toMatchObject({ taskId });
    expect((await as(other).send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
  },
);

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
  expect(await of("Bearer known")).not.toHaveProperty("refusal");
  state.answer = () => Promise.reject(new UpstreamFailure("busy", { mayHaveRun: false, status: 429 }));
  time.now += 3_599_999;
  expect(await of("Bearer known")).not.toHaveProperty("refusal");
  time.now += 1;
  expect(await of("Bearer known")).toMatchObject({ refusal: { httpStatus: 503 } });
});

test("credentials that are made up displace none that is good", async () => {
  const { of, state } = asked();
  await of("Bearer known");
  state.answer = () => Promise.reject(new UpstreamFailure("no", { mayHaveRun: false, status: 401 }));
  for (let at = 0; at < 10_001; at += 1) await of(`Bearer ${at}`);
  expect(await of("Bearer known")).not.toHaveProperty("refusal");
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
  expect(await of("Bearer known")).not.toHaveProperty("refusal");
  expect(await of("Bearer revoked")).toMatchObject({ refusal: { httpStatus: 401 } });
});

/** A server of which one tool ends at once, and the others never. */
const judged = (judge: Judge, settings: Partial<GatewaySettings> = {}, isModern = false) => {
  const scripts: Readonly<Record<string, Script>> = {
    ...(isModern ? modernScripts() : {}),
    "tools/call": (call) => {
      if (call.message.params?.name === "quick") call.json({ content: [] });
    },
  };
  const options = isModern ? STATELESS : {};
  return guarded({ takes: (given = "") => judge(given), scripts, options }, settings);
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

/** A token that nobody has signed. */
function forge(header: object, claims: object): string {
  const [head, body] = [header, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  const signature = createHmac("sha512", "x").update(`${head}.${body}`).digest("base64url").slice(0, 86);
  return `Bearer ${head}.${body}.${signature}`;
}

/** What a token says; nothing, if it is none. */
function said(authorization: string): { readonly crit?: unknown; readonly exp?: number } {
  const token = authorization.slice("Bearer ".length);
  return token === "" ? {} : { ...decodeProtectedHeader(token), ...decodeJwt(token) };
}
