/** What proxies add to a client's requests is no credential of its: with those on them, its calls could not be stored for the next gateway. */

import { expect, onTestFinished, test } from "vitest";
import { LegacyWire } from "../support/legacy-wire.ts";
import { textOf } from "../support/story.ts";
import { Replica } from "./support/replica.ts";
import { startWitness } from "./support/witness.ts";
import { workOf } from "./support/work.ts";

const SIZE = 100;
/** Longer than it takes to begin all of them. */
const MS = 5_000;
/** As they were seen to be added; of Envoy and the delivery network as they are documented. */
const ADDED = {
  nginx: { "x-forwarded-for": "10.0.0.9", "x-forwarded-proto": "https", "x-real-ip": "10.0.0.9" },
  "ingress-nginx": { "x-request-id": "0a1b", "x-scheme": "https", "x-original-forwarded-for": "10.0.0.9" },
  Caddy: { "x-forwarded-host": "tools.example" },
  Apache: { "x-forwarded-server": "proxy.example", via: "1.1 proxy.example" },
  Varnish: { "x-varnish": "4", "x-forwarded-for": "10.0.0.9" },
  lighttpd: { "x-host": "tools.example", "x-forwarded-host": "tools.example" },
  Squid: {
    via: "1.1 proxy.example (squid/5.7)",
    "surrogate-capability": 'proxy.example="Surrogate/1.0"',
    "cache-control": "max-age=259200",
  },
  Envoy: { "x-envoy-external-address": "10.0.0.9", "x-envoy-expected-rq-timeout-ms": "15000" },
  "a delivery network": { "cf-ray": "0a-FRA", "cf-connecting-ip": "10.0.0.9", "cdn-loop": "cloudflare" },
} as const;

test("tasks of 2025-11-25 outlive their gateway behind every proxy, in a store without keys", {
  timeout: 120_000,
}, async () => {
  const witness = await startWitness();
  onTestFinished(() => witness.stop());
  const limits = { drainTimeout: "0ms" };
  const gateway = await Replica.open({ upstreams: witness.urls, store: "level:", limits });
  onTestFinished(() => gateway.close());
  const begun = Object.entries(ADDED).map(async ([proxy, headers]) => {
    const user = await LegacyWire.connect(gateway.url("kept"), { headers });
    const stream = await user.listen();
    const args = { id: proxy, ms: MS, size: SIZE };
    const { taskId } = await user.begin("work", { arguments: args, _meta: { progressToken: proxy } });
    // The gateway has then heard of the call's stream.
    await stream.heard("notifications/progress");
    return { proxy, user, taskId };
  });
  const all = await Promise.all(begun);
  await gateway.kill("SIGTERM");
  await gateway.start();
  const results = await Promise.all(
    all.map(async ({ proxy, user, taskId }) => {
      const { message } = await user.send("tasks/result", { taskId });
      return [proxy, message.result === undefined ? message.error.message : textOf(message.result)];
    }),
  );
  expect(results).toEqual(all.map(({ proxy }) => [proxy, workOf(proxy, SIZE)]));
  for (const { proxy } of all) expect(await witness.seen(proxy)).toMatchObject({ calls: 1 });
});
