/** A gateway whose servers fail in every way there is, and clients with secrets wherever one can be. */

import { PassThrough } from "node:stream";
import { onTestFinished } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { serveStdio, startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { configFor } from "../support/gateway.ts";
import { byName } from "../support/legacy-wire.ts";
import { type Json, ModernClient } from "../support/modern-client.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { type Script, type ScriptedServer, startScriptedServer } from "../support/scripted-server.ts";
import { accept, EVERYTHING, form, textResult } from "../support/story.ts";
import { CREDENTIALS, DATA } from "./secrets.ts";

export interface Written {
  /** Everything that was logged. */
  readonly log: string;
  /** Everything that another client was answered, who asked for the same things and for the tasks of the first. */
  readonly elsewhere: string;
  /** Everything that the client itself was answered. */
  readonly own: string;
  /** Every request that reached the server, to show that the secrets were on their way. */
  readonly sent: string;
}

/** Whatever a server that fails can be made to repeat. What it puts into a result is the result, and kept as such. */
const ALL = (call: Exchange) => JSON.stringify([DATA, call.headers, call.request.url]);

const MODERN = { "mcp-protocol-version": "2026-07-28" };

/** By name of the tool. Each fails in another way, with everything that it knows in its answer. */
const TOOLS: Readonly<Record<string, Script>> = {
  works: (call) => call.json(textResult(DATA.result)),
  slow: async (call) => {
    const stream = call.sse();
    const { _meta } = call.message.params ?? {};
    const { progressToken } = (_meta ?? {}) as Json;
    stream.event({
      jsonrpc: "2.0",
      method: "notifications/progress",
      params: { progressToken, progress: 1, message: DATA.progress },
    });
    await stream.ask("elicitation/create", form(DATA.question, "name"));
    stream.event(call.answer(textResult(DATA.result)));
    stream.end();
  },
  fails: (call) => call.json({ isError: true, content: [{ type: "text", text: ALL(call) }] }),
  errs: (call) => call.error(-32000, DATA.error, { data: ALL(call) }),
  unauthorized: (call) =>
    call.reply(401, { error: ALL(call) }, { "WWW-Authenticate": `Bearer error="${DATA.error}"` }),
  forbidden: (call) => call.reply(403, { error: ALL(call) }),
  breaks: (call) => call.reply(500, { error: ALL(call) }),
  moves: (call) => call.reply(307, {}, { Location: `http://127.0.0.1:1/?${DATA.error}` }),
  mumbles: (call) => raw(call, "application/json", `{"jsonrpc":"2.0",${ALL(call)}`),
  stutters: (call) =>
    raw(call, "text/event-stream", `data: {"jsonrpc":${ALL(call)}\n\ndata: ${ALL(call)}\n\n`),
  misspeaks: (call) => raw(call, "text/html", `<p>${ALL(call)}</p>`),
  misnames: (call) =>
    raw(call, "application/json", JSON.stringify({ jsonrpc: "2.0", id: DATA.error, result: DATA })),
  hangs: () => undefined,
  dies: (call) => void call.response.destroy(),
  floods: (call) => call.json(textResult(DATA.result.repeat(10_000))),
  demands: async (call) => {
    const stream = call.sse();
    await stream.ask("x/unknown", { message: DATA.question });
    await stream.ask("elicitation/create", { message: DATA.question, requestedSchema: DATA.error });
    stream.event(call.answer(textResult(DATA.result)));
    stream.end();
  },
};

interface Options {
  /** With the one client at the end of two streams. */
  readonly isStdio?: boolean;
  /** Whether the server repeats the credentials that it was sent. */
  readonly isEchoing?: boolean;
}

/** Runs everything, and stops. @param settings what the gateway is set to beside all that */
export async function runMarked(settings: Partial<Config["store"]> & Options = {}): Promise<Written> {
  const { isStdio = false, isEchoing = true, ...store } = settings;
  const server = await startScriptedServer({
    "tools/call": (call) => {
      if (!isEchoing) {
        call.request.headers = {};
        call.request.url = "/";
      }
      return TOOLS[String(call.message.params?.name)]?.(call);
    },
    initialize: (call) => {
      call.json(
        {
          protocolVersion: call.message.params?.protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: "s", version: "1" },
        },
        { "Set-Cookie": `a=${CREDENTIALS.session}` },
      );
    },
    "prompts/list": (call) => call.reply(500, { error: ALL(call) }),
    "resources/list": (call) => call.reply(401, { error: ALL(call) }),
  });
  onTestFinished(server.close);
  const lines: string[] = [];
  const log = createLog("trace", { write: (line) => void lines.push(line) });
  const config = configOf(server, store);
  if (isStdio)
    return { ...(await runStdio(config, log)), log: lines.join(""), sent: sentTo(server), elsewhere: "" };
  const gateway = await startGateway(config, {
    log,
    identify: (request, route) => ({ ...byName(request, route), headers: forwarded(request.headers) }),
  });
  onTestFinished(() => gateway.close());
  const url = new URL(gateway.routes[0]?.url ?? "");
  const headers = {
    "x-user": "ada",
    authorization: `Bearer ${CREDENTIALS["client-authorization"]}`,
    cookie: `c=${CREDENTIALS["client-cookie"]}`,
    "x-key": CREDENTIALS["client-key"],
  };
  const ada = new ModernClient(url, { capabilities: EVERYTHING, headers });
  const bob = new ModernClient(url, { capabilities: EVERYTHING, headers: { "x-user": "bob" } });
  const own = await runTools(ada, DATA.argument);
  const taskIds = [...own.matchAll(/"taskId":"([\w-]+)"/g)].map(([, id]) => id as string);
  const other: Json[] = [];
  for (const taskId of new Set(taskIds))
    for (const method of ["tasks/get", "tasks/update", "tasks/cancel"])
      other.push((await bob.send(method, { taskId, inputResponses: {} })).message);
  // On a slow machine the call is a task before it asks, and no state was told: without one Bob would be asked himself.
  const [, state = "taskgate.none.none"] = /"requestState":"([^"]+)"/.exec(own) ?? [];
  other.push((await bob.send("tools/call", { name: "slow", arguments: {}, requestState: state })).message);
  for (const method of ["tools/list", "server/discover", "prompts/list", "x/unknown"]) {
    // What the server repeats to him is his own.
    if (method !== "prompts/list") other.push((await bob.send(method)).message);
  }
  const legacy = await legacyRequests(url, headers);
  await server.close();
  const down = await ada.send("tools/call", { name: "works", arguments: { argument: DATA.argument } });
  other.push((await bob.send("tools/call", { name: "works", arguments: {} })).message);
  other.push((await bob.send("tools/list")).message);
  await gateway.close();
  const elsewhere = JSON.stringify([other, gateway.routes]);
  return { log: lines.join(""), elsewhere, own: own + legacy + down.text, sent: sentTo(server) };
}

async function runTools(client: ModernClient, argument: string): Promise<string> {
  const each = async (name: string): Promise<string> => {
    const { text, message } = await client.send("tools/call", { name, arguments: { argument } });
    const { taskId } = message?.result ?? {};
    if (taskId === undefined) return text;
    const task = await client.taskWhen(taskId, ({ status }) => status !== "working");
    const asked = Object.keys(task.inputRequests ?? {}).map((key) => [key, accept({ name: DATA.answer })]);
    await client.send("tasks/update", { taskId, inputResponses: Object.fromEntries(asked) });
    // A shape that is wrong, with an answer in it.
    await client.send("tasks/update", { taskId, inputResponses: { name: { action: DATA.answer } } });
    return [text, JSON.stringify(task), JSON.stringify(await client.settled(taskId))].join("\n");
  };
  const said = await Promise.all(Object.keys(TOOLS).map(each));
  for (const method of ["prompts/list", "resources/list", "tools/list", "server/discover"])
    said.push((await client.send(method)).text);
  // What is wrong with a request is said, and not what is in it.
  said.push(await (await client.post(`{"jsonrpc":"2.0","secret":"${argument}"`, MODERN)).body.text());
  return said.join("\n");
}

/** The same in the other generation, whose requests are forwarded as they are. */
async function legacyRequests(url: URL, given: Readonly<Record<string, string>>): Promise<string> {
  const headers = {
    ...given,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
  };
  const send = async (message: object, more: Readonly<Record<string, string>> = {}) => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, ...message });
    const answer = await fetch(url, {
      method: "POST",
      headers: { ...headers, ...more },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(5_000),
    });
    return { text: await answer.text().catch(() => ""), session: answer.headers.get("mcp-session-id") ?? "" };
  };
  const clientInfo = { name: "marked", version: "1" };
  const opened = await send({
    method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo },
  });
  const more = { "mcp-session-id": opened.session, "mcp-protocol-version": "2025-11-25" };
  const said = [opened.text];
  for (const name of Object.keys(TOOLS).filter(
    (tool) => !["slow", "hangs", "demands", "dies"].includes(tool),
  )) {
    const params = { name, arguments: { argument: DATA.argument } };
    said.push((await send({ method: "tools/call", params }, more)).text);
    said.push((await send({ method: "tools/call", params: { ...params, task: {} } }, more)).text);
  }
  return said.join("\n");
}

async function runStdio(config: Config, log: ReturnType<typeof createLog>) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const said: string[] = [];
  let waiting = (_: string) => {};
  output.setEncoding("utf8").on("data", (text: string) => {
    said.push(text);
    waiting(said.join(""));
  });
  const gateway = await serveStdio(config, { input, output, log });
  const until = (isThere: (text: string) => boolean) =>
    new Promise<void>((resolve) => {
      waiting = (text) => isThere(text) && resolve();
      waiting(said.join(""));
    });
  input.write(`{"secret":"${DATA.argument}"\n`);
  const names = Object.keys(TOOLS).filter((name) => !["slow", "hangs", "demands"].includes(name));
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "marked", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  for (const name of names)
    input.write(
      `${JSON.stringify({ jsonrpc: "2.0", id: name, method: "tools/call", params: { name, arguments: { argument: DATA.argument }, _meta } })}\n`,
    );
  await until((text) => names.every((name) => text.includes(`"id":"${name}"`)));
  input.end();
  await gateway.close();
  return { own: said.join("") };
}

function configOf(server: ScriptedServer, store: Partial<Config["store"]>): Config {
  const upstream = new URL(`${server.url.href}?key=${CREDENTIALS["config-query"]}`);
  const config = configFor({
    upstream,
    transport: "streamable-http",
    headers: { "x-config": CREDENTIALS["config-authorization"] },
    forwardHeaders: ["authorization", "x-key", "cookie"],
    policy: { maxRuntimeMs: 1_500, maxResultBytes: 50_000, onLoss: "retry", isUnsafe: true },
    log: { isAudited: true },
  });
  return { ...config, store: { ...config.store, timeoutMs: 2_000, leaseMs: 3_000, ...store } };
}

function forwarded({ authorization, cookie, "x-key": key }: Readonly<Record<string, unknown>>) {
  const all = Object.entries({ authorization, cookie, "x-key": key });
  return Object.fromEntries(
    all.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  );
}

function raw({ response }: Exchange, type: string, body: string): void {
  response.writeHead(200, { "Content-Type": type }).end(body);
}

function sentTo({ received }: ScriptedServer): string {
  return JSON.stringify(received.map(({ message, headers, request }) => [message, headers, request.url]));
}
