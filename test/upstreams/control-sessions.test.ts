/** Many callers, each with a session for lists of their own. */

import { expect, onTestFinished, test } from "vitest";
import { createLog } from "../../src/ops/log.ts";
import { upstreamAgents } from "../../src/upstreams/agents.ts";
import { Upstream } from "../../src/upstreams/upstream.ts";
import { configFor } from "../support/gateway.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

/** As many as are kept, if somebody listens on all of them. */
const MANY = 256;

test("a caller is answered however many others listen, each on a session of their own", async () => {
  const server = await startScriptedServer({});
  onTestFinished(server.close);
  const agents = upstreamAgents();
  onTestFinished(() => agents.destroy());
  const { servers } = configFor({ upstream: server.url });
  const upstream = new Upstream({
    config: (servers[0] as (typeof servers)[number]).upstream,
    agents,
    clientInfo: { name: "test", version: "1" },
    maxMessageBytes: 1_000_000,
    log: createLog("silent"),
  });
  onTestFinished(() => upstream.close());
  const controlOf = (caller: string) => upstream.control({ caller, headers: {}, capabilities: {} });
  for (let index = 0; index < MANY; index += 1) controlOf(`listener ${index}`).listen(() => {});
  expect(await controlOf("ada").ask("tools/list")).toHaveProperty("result.tools");
});
