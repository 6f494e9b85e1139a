/** Servers of 2024-11-05 as they were published. */

import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { everything, sdk } from "../peers/peers.ts";
import { peersMissing } from "../real/peers-missing.ts";
import { startServerProcess } from "../real/server-process.ts";
import { startEverything } from "../support/everything-process.ts";
import { failureOf, openSession } from "./sse-session.ts";

const RELEASES = ["2025.4.28", "2025.12.18"] as const;
const SAID = { role: "assistant", model: "m", content: { type: "text", text: "Paris" } };
const ANSWERS = {
  "sampling/createMessage": SAID,
  "elicitation/create": { action: "decline" },
  "roots/list": { roots: [] },
};

const missing = peersMissing("server-everything over HTTP+SSE", () =>
  RELEASES.map((release) => everything(release, "sse")),
);

function call(name: string, args: object) {
  return ["tools/call", { name, arguments: args }] as const;
}

test.skipIf(missing).each(RELEASES)(
  "server-everything %s answers, reports progress and samples",
  async (release) => {
    const url = await startEverything(release, "sse");
    const { session, heard } = await openSession(url, { answers: ANSWERS });
    const progress: number[] = [];
    const onProgress = (each: { progress: number }) => progress.push(each.progress);

    const echo = session.request(...call("echo", { message: "é✓" }));
    expect(await echo.response).toMatchObject({ result: { content: [{ text: "Echo: é✓" }] } });
    const long = session.request(...call("longRunningOperation", { duration: 0.3, steps: 3 }), {
      onProgress,
    });
    expect(await long.response).toMatchObject({ result: { content: [{ type: "text" }] } });
    const sampled = await session.request(...call("sampleLLM", { prompt: "Capital?" })).response;

    expect(progress).toEqual([1, 2, 3]);
    expect(JSON.stringify(sampled)).toContain("Paris");
    expect(heard).toContainEqual(expect.objectContaining({ method: "sampling/createMessage" }));
    expect(session.server.serverInfo).toMatchObject({ name: "example-servers/everything" });
  },
);

test.skipIf(missing)(
  "server-everything 2025.12.18 asks its questions in the session of the call",
  async () => {
    const url = await startEverything("2025.12.18", "sse");
    const asked = await openSession(url, { answers: ANSWERS });
    const other = await openSession(url, { answers: ANSWERS });
    const { response } = asked.session.request(...call("startElicitation", {}));

    expect(JSON.stringify(await response)).toContain("declin");
    expect(asked.heard).toContainEqual(expect.objectContaining({ method: "elicitation/create" }));
    expect(other.heard).not.toContainEqual(expect.objectContaining({ method: "elicitation/create" }));
  },
);

test.skipIf(missing)(
  "server-everything 2025.4.28, which exits with its client, does when the session is closed",
  async () => {
    const url = await startEverything("2025.4.28", "sse");
    const witness = connect(Number(url.port), url.hostname);
    const exited = once(witness, "close");
    await once(witness, "connect");
    const { session } = await openSession(url);
    await session.close();
    await exited;

    // A process that exits closes one socket after the other: for a moment its port still takes a connection, and resets it.
    await expect
      .poll(async () => (await failureOf(openSession(url))).message)
      .toBe("The server cannot be reached (ECONNREFUSED)");
  },
);

test("the example of the SDK says something every now and then, and answers", async () => {
  const url = await startServerProcess(sdk("1.32", "examples/server/simpleSseServer"), onTestFinished);
  const { session, heard } = await openSession(url);
  const started = session.request(...call("start-notification-stream", { interval: 10, count: 3 }));

  expect(await started.response).toMatchObject({
    result: { content: [{ text: "Completed sending 3 notifications every 10ms" }] },
  });
  expect(
    heard.filter((message) => "method" in message && message.method === "notifications/message"),
  ).toHaveLength(4);
});
