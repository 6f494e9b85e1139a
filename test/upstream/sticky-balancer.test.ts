/** Servers of several nodes, each of which knows its own sessions only, behind a balancer with affinity. */

import { expect, test } from "vitest";
import { half, said } from "../support/call-halves.ts";
import { gatewayFor } from "../support/gateway.ts";
import { startJobServer } from "../support/job-server.ts";
import { stickyBalancer } from "../support/sticky-balancer.ts";

type Run = Parameters<typeof startJobServer>[0];

async function twoNodes(run: Run) {
  const nodes = [await startJobServer(run), await startJobServer(run)];
  return { nodes, ...(await stickyBalancer(nodes.map(({ url }) => url))) };
}

test("lists, quick calls and tasks of a modern client come to the node of their session", async () => {
  const { url, forwarded } = await twoNodes(async ({ progress }) => {
    await progress(1);
    return "done";
  });
  const client = (await gatewayFor({ upstream: url, policy: { waitForMs: 60_000 } })).client();

  for (let count = 0; count < 3; count += 1) {
    expect(await client.result("tools/list")).toMatchObject({ tools: [] });
    expect(await client.callTool("job")).toMatchObject({ content: [{ text: "done" }] });
  }

  const inSessions = forwarded.filter(({ session }) => session !== undefined);
  expect(inSessions.length).toBeGreaterThan(6);
  expect(inSessions.filter(({ cookie }) => cookie === undefined)).toEqual([]);
});

test("no two sessions share a cookie", async () => {
  const { url, forwarded } = await twoNodes(async ({ released }) => {
    await released;
    return "done";
  });
  const { call } = half(url);
  const calls = [call(), call(), call()];
  for (const one of calls) one.call.start();
  for (const one of calls) await one.until(() => one.heard.includes("accepted"), "the call to be sent");

  const bySession = new Map<string, Set<string | undefined>>();
  for (const { session, cookie } of forwarded) {
    if (session !== undefined) bySession.set(session, (bySession.get(session) ?? new Set()).add(cookie));
  }
  const cookies = [...bySession.values()].map((each) => [...each]);
  expect(cookies.every((each) => each.length === 1 && each[0] !== undefined)).toBe(true);
  expect(new Set(cookies.flat()).size).toBe(3);
});

test("a call is gone on with at the node where it was begun", async () => {
  const { url, nodes, forwarded } = await twoNodes(async ({ progress, released }) => {
    await progress(1);
    await released;
    return "done";
  });
  const first = half(url);
  const began = first.call();
  began.call.start();
  const record = await began.placed();
  const { node } = forwarded[0] ?? {};
  expect(record.checkpoint.session.cookies).toEqual([expect.stringMatching(`^AFFINITY=${node}\\.`)]);
  began.call.handOff();
  await first.kill();
  for (const each of nodes) each.release();

  const rest = half(url).rest(record);
  rest.call.start();

  expect(said(await rest.ended())).toBe("done");
  expect(nodes.map(({ told }) => told.runs).sort()).toEqual([0, 1]);
  await expect.poll(() => nodes.map(({ sessions }) => sessions)).toEqual([0, 0]);
});
