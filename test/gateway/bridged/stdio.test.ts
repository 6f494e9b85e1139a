/** Servers over stdio that speak only 2026-07-28, and clients over stdio before any that do. */

import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { startStdio } from "../../stdio/raw-client.ts";
import { gatewayFor } from "../../support/gateway.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { startModernOnly } from "../../support/modern-only.ts";
import { accept, EVERYTHING, textOf } from "../../support/story.ts";
import { talks } from "../paired/talks.ts";

const SERVER = fileURLToPath(new URL("../../support/stdio-servers/modern-only.ts", import.meta.url));
const COMMAND = { command: process.execPath, args: ["--import", import.meta.resolve("tsx"), SERVER] };
const echo = (message: string) => ({ name: "echo", arguments: { message } });

test("a client of 2026-07-28 has all of a server over stdio", async () => {
  const { client, gateway } = await gatewayFor({ upstream: COMMAND, policy: { waitForMs: 60_000 } });
  expect(gateway.routes[0]?.description).toBe("modern 2026-07-28");
  const user = client({ capabilities: EVERYTHING });
  expect((await user.result("server/discover")).capabilities).toMatchObject({ tools: { listChanged: true } });
  expect(textOf(await user.callTool("echo", { message: "é" }))).toBe("é");
  const { inputRequests, requestState } = await user.callTool("form");
  const [key = ""] = Object.keys(inputRequests);
  const inputResponses = { [key]: accept({ name: "Ada" }) };
  const done = await user.callTool("form", {}, { params: { inputResponses, requestState } });
  expect(JSON.parse(textOf(done) ?? "")).toEqual(accept({ name: "Ada" }));
});

test("a client of an older revision has all of a server over stdio, and its tasks ask for themselves", async () => {
  const { url } = await gatewayFor({ upstream: COMMAND, policy: { mode: "always" } });
  const client = await LegacyWire.connect(url);
  expect(client.initialized).toMatchObject({
    serverInfo: { name: "modern-only" },
    instructions: "Be brief.",
  });
  expect(textOf(await client.result("tools/call", echo("é")))).toBe("é");
  await client.result("logging/setLevel", { level: "info" });
  const params = { name: "report", _meta: { progressToken: "p" } };
  const { before, message } = await client.send("tools/call", params);
  expect(textOf(message.result)).toBe("reported");
  expect(before.map(({ method }) => method)).toEqual(["notifications/message", "notifications/progress"]);

  const [form, sample] = [await client.begin("form"), await client.begin("sample")];
  for (const { taskId } of [form, sample]) await client.taskThat(taskId, "input_required");
  const waiting = client.open("tasks/result", { taskId: form.taskId });
  const question = await waiting.heard("elicitation/create");
  await client.respond(question.id, { result: accept({ name: "Ada" }) });
  expect(textOf((await waiting.answer).message.result)).toContain("Ada");

  const call = client.open("tools/call", { name: "wait" }, { id: "mine" });
  await client.notify("notifications/cancelled", { requestId: "mine", reason: "enough" });
  expect((await call.answer).message).toBeUndefined();
  expect(textOf(await client.result("tools/call", echo("still there")))).toBe("still there");
});

test.each([
  [
    "HTTP",
    async () => {
      const server = await startModernOnly();
      onTestFinished(server.close);
      return ["--upstream", server.url.href];
    },
  ],
  ["stdio", async () => ["--", COMMAND.command, ...COMMAND.args]],
])("a client of an older revision over stdio is served before a server over %s", async (_, upstream) => {
  const client = startStdio(await upstream());
  const { serverInfo, protocolVersion } = (await client.initialize("2025-06-18", { elicitation: {} })).result;
  expect([serverInfo.name, protocolVersion]).toEqual(["modern-only", "2025-06-18"]);
  expect(textOf(await client.result("tools/call", echo("é")))).toBe("é");
  client.send({ id: "asks", method: "tools/call", params: { name: "form", arguments: {} } });
  const { id } = await client.message(({ method }) => method === "elicitation/create");
  client.send({ id, result: accept({ name: "Ada" }) });
  expect(textOf((await client.answer("asks")).result)).toContain("Ada");
});

test("a server over stdio that refuses both eras is quoted for the older one", async () => {
  const refuses = `
    require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
      const { id, method } = JSON.parse(line);
      const error = { code: -32603, message: method === "initialize" ? "not today" : "never" };
      if (id !== undefined) console.log(JSON.stringify({ jsonrpc: "2.0", id, error }));
    });`;
  const { url } = await gatewayFor({ upstream: { command: process.execPath, args: ["-e", refuses] } });
  await expect(LegacyWire.connect(url)).rejects.toThrow("not today");
});

test("only the answer to initialize shows the era of a server over stdio, whatever has its id later", async () => {
  const { url } = await talks();
  const client = await LegacyWire.connect(url);
  const line = '{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"no"}}';
  // The id of its initialize.
  const error = await client.error("tools/call", { name: "write", arguments: { line } }, { id: 1 });
  expect(error).toEqual({ code: -32601, message: "no" });
  const heard: JsonObject[] = (await client.result("x/heard")).heard;
  expect(heard.map(({ method }) => method)).not.toContain("server/discover");
});
