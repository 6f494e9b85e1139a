/**
 * Calls that one process begins and another goes on with, at servers from npm that keep their events. The newer two tell of progress on the
 * stream of the call, the oldest on that of the session.
 */

import { describe, expect, onTestFinished, test } from "vitest";
import { everything } from "../peers/peers.ts";
import { peersMissing } from "../real/peers-missing.ts";
import { startServerProcess } from "../real/server-process.ts";
import { half, said } from "../support/call-halves.ts";
import { accept } from "../support/story.ts";

const RELEASES = ["2025.4.28", "2025.9.25", "2025.12.18"] as const;
const ASKING = [
  { release: "2025.9.25", answer: { color: "green" }, told: "✅ User provided their favorite things!" },
  { release: "2025.12.18", answer: { name: "Ada" }, told: "✅ User provided the requested information!" },
] as const;

const missing = peersMissing("server-everything", () => RELEASES.map((release) => everything(release)));

const start = (release: (typeof RELEASES)[number]): Promise<URL> =>
  startServerProcess(everything(release), (cleanUp) => onTestFinished(cleanUp));

describe.skipIf(missing)("server-everything", () => {
  test.each(RELEASES)("%s: a call is picked up in the middle, and tells how far it is", async (release) => {
    const url = await start(release);
    const first = half(url);
    const params = { name: "longRunningOperation", arguments: { duration: 3, steps: 3 } };
    const began = first.call({ params });
    began.call.start();
    await began.until(() => began.heard.includes("progress 1"), "progress");
    const record = await began.placed();
    began.call.handOff();
    await first.kill();

    const rest = half(url).rest(record);
    rest.call.start();

    expect(said(await rest.ended())).toBe("Long running operation completed. Duration: 3 seconds, Steps: 3.");
    expect(rest.heard).toContain("progress 2");
  });

  test.each(ASKING)(
    "$release: a question is answered by another process",
    async ({ release, answer, told }) => {
      const url = await start(release);
      const first = half(url);
      const began = first.call({ params: { name: "startElicitation", arguments: {} } });
      began.call.start();
      const record = await began.asked();
      began.call.handOff();
      await first.kill();

      const rest = half(url).rest(record);
      rest.call.start();
      rest.call.answer({ [String(Object.keys(record.inputRequests)[0])]: accept(answer) });

      expect(said(await rest.ended())).toBe(told);
    },
  );
});
