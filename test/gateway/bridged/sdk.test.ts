/** Published clients of the v1 SDK before a server that speaks only 2026-07-28, by its own SDK. */

import { expect, onTestFinished, test } from "vitest";
import type { SdkRelease } from "../../peers/peers.ts";
import { sdk } from "../../peers/peers.ts";
import { peersMissing } from "../../real/peers-missing.ts";
import { gatewayFor } from "../../support/gateway.ts";
import { connectLegacy } from "../../support/legacy-client.ts";
import { startModernOnly } from "../../support/modern-only.ts";
import { textOf } from "../../support/story.ts";

const CLIENTS: readonly SdkRelease[] = ["1.10", "1.22", "1.32"];
const missing = peersMissing("v1 clients before a server of 2026-07-28", () =>
  CLIENTS.map((client) => sdk(client, "client/index")),
);

async function connected(release: SdkRelease) {
  const server = await startModernOnly();
  onTestFinished(server.close);
  const { url, gateway } = await gatewayFor({ upstream: server.url });
  expect(gateway.routes[0]?.description).toBe("modern 2026-07-28");
  return { server, url, ...(await connectLegacy(release, url, { answer: { name: "Ada" } })) };
}

test.skipIf(missing).each(CLIENTS)("a client of SDK %s has all that the server has", async (release) => {
  const { client, server } = await connected(release);
  expect(client.getServerVersion()).toEqual({ name: "modern-only", version: "2.4.0" });
  expect(client.getInstructions()).toBe("Be brief.");
  const names = (await client.listTools()).tools.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["echo", "count", "measure"]));
  const echo = { name: "echo", arguments: { message: "é✓" } };
  expect(textOf((await client.callTool(echo)) as never)).toBe("é✓");
  expect(await client.callTool({ name: "measure", arguments: {} })).toMatchObject({
    content: [{ text: "3 m" }],
    structuredContent: { metres: 3 },
  });
  // Its schema is of no use to clients of older revisions, nor is a number.
  expect(await client.callTool({ name: "count", arguments: {} })).toEqual({
    content: [{ type: "text", text: "3" }],
  });
  expect((await client.listPrompts()).prompts.map(({ name }) => name)).toEqual(["greet"]);
  expect((await client.getPrompt({ name: "greet", arguments: { name: "Ada" } })).messages).toMatchObject([
    { content: { text: "Greet Ada" } },
  ]);
  expect((await client.listResources()).resources.map(({ uri }) => uri)).toEqual(["note://1"]);
  expect((await client.listResourceTemplates()).resourceTemplates).toMatchObject([
    { uriTemplate: "any://{what}" },
  ]);
  expect((await client.readResource({ uri: "any://thing" })).contents).toEqual([
    { uri: "any://thing", text: "anything" },
  ]);
  const ref = { type: "ref/prompt", name: "greet" } as const;
  const completed = await client.complete({ ref, argument: { name: "name", value: "Al" } });
  expect(completed.completion.values).toEqual(["Alan"]);
  await client.ping();
  expect(server.calls).toEqual(["measure", "count"]);
});

test.skipIf(missing)("a client is asked for whatever it has declared", async () => {
  const { client, asked } = await connected("1.32");
  const told = async (name: string) => JSON.parse(textOf((await client.callTool({ name })) as never) ?? "");
  expect(await told("form")).toEqual({ action: "accept", content: { name: "Ada" } });
  expect(await told("sample")).toMatchObject({ model: "none", content: { text: "Paris" } });
  expect(await told("roots")).toEqual({ roots: [{ uri: "file:///home", name: "Home" }] });
  expect(asked.map(({ message, maxTokens }) => message ?? maxTokens)).toEqual(["Who?", 10]);
});

test.skipIf(missing)("a client hears of progress, of the log, and of changes", async () => {
  const { client, server, heard, notified } = await connected("1.32");
  const said = () => heard.filter(({ method }) => method === "notifications/message");
  await client.callTool({ name: "report" });
  // It has not said yet from which level on.
  expect(said()).toEqual([]);
  await client.setLoggingLevel("info");
  const steps: unknown[] = [];
  const onprogress = (progress: unknown) => void steps.push(progress);
  expect(textOf((await client.callTool({ name: "report" }, undefined, { onprogress })) as never)).toBe(
    "reported",
  );
  expect(steps).toEqual([{ progress: 1, total: 2, message: "half" }]);
  expect(said()).toMatchObject([{ params: { level: "warning", data: "half way" } }]);

  server.notify.toolsChanged();
  await notified("notifications/tools/list_changed");
  server.notify.promptsChanged();
  await notified("notifications/prompts/list_changed");
  await client.subscribeResource({ uri: "note://1" });
  server.notify.resourceUpdated("note://1");
  expect(await notified("notifications/resources/updated")).toEqual({ uri: "note://1" });
  await client.unsubscribeResource({ uri: "note://1" });
  server.notify.resourceUpdated("note://1");
  server.notify.resourcesChanged();
  await notified("notifications/resources/list_changed");
  expect(heard.filter(({ method }) => method === "notifications/resources/updated")).toHaveLength(1);
});

test.skipIf(missing)("what a client cancels is cancelled at the server", async () => {
  const { client, server } = await connected("1.32");
  const leaving = new AbortController();
  const waiting = client.callTool({ name: "wait" }, undefined, { signal: leaving.signal });
  await expect.poll(() => server.calls).toEqual(["wait"]);
  leaving.abort();
  await expect(waiting).rejects.toThrow();
  await expect.poll(() => server.cancelled).toBe(1);
});
