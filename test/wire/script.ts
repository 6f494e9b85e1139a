/** What is said to a Streamable HTTP server, exchange by exchange, with everything that is right and much that is wrong. */

import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { BOTH, call, INITIALIZED, opening, posting } from "./legacy-session.ts";
import { type Asking, ask, type Header, open } from "./raw-client.ts";
import { type Recorded, type Recording, record } from "./recording.ts";

/** A tool and its arguments. */
type Called = readonly [name: string, args?: JsonObject];

export interface Spoken {
  readonly version: string;
  readonly plain: Called;
  readonly progress: Called;
  /** A tool that asks for something by a form. */
  readonly asks?: Called;
  /** One after which the server says something on the stream that the session listens on, and how one sees it. */
  readonly tells?: { readonly tool: Called; readonly text: string };
}

const JSON_TYPE: Header = ["Content-Type", "application/json"];
const ACCEPT: Header = ["Accept", BOTH];
const ACCEPT_STREAM: Header = ["Accept", "text/event-stream"];
const LIST = { jsonrpc: "2.0", id: "list", method: "tools/list" };

export async function speak(url: URL, { version, plain, progress, asks, tells }: Spoken): Promise<Recording> {
  const recording: Record<string, Recorded> = {};
  const session = await opening(url, version, { elicitation: {} });
  recording.initialize = record(session.answer);
  const say = async (name: string, asking: Asking) => {
    recording[name] = record(await ask(url, asking));
  };
  const post = (name: string, message: unknown, more: readonly Header[] = []) =>
    say(name, posting(message, [...session.headers, ...more]));

  await post("a notification", INITIALIZED);
  await post("tools/list", LIST);
  await post("ping", { jsonrpc: "2.0", id: 2, method: "ping" });
  await post("a call", call(3, ...plain));
  await post("a call whose id is text", call("3", ...plain));
  await post("a call with progress", call(4, progress[0], progress[1], { progressToken: "p" }));
  if (asks) await sayAsking(asks);
  await post("an unknown method", { jsonrpc: "2.0", id: 6, method: "tools/unknown" });
  await post("an unknown tool", call(7, "none"));
  await post("no JSON-RPC", { id: 8 });
  await post("a batch", [
    { jsonrpc: "2.0", id: 9, method: "ping" },
    { jsonrpc: "2.0", id: 10, method: "ping" },
  ]);
  await post("a request with an origin", LIST, [["Origin", "http://localhost:1234"]]);
  await say("another content type", {
    headers: [["Content-Type", "text/plain"], ACCEPT, ...session.headers],
    body: JSON.stringify(LIST),
  });
  await say("no Accept", { headers: [JSON_TYPE, ...session.headers], body: JSON.stringify(LIST) });
  await post("only JSON", call(11, ...plain), [["Accept", "application/json"]]);
  await say("no session", posting(LIST));
  await say("an unknown session", posting(LIST, [["Mcp-Session-Id", "none"]]));
  await say("an unknown version", posting(LIST, [...sessionOnly(), ["MCP-Protocol-Version", "1999-01-01"]]));
  for (const method of ["OPTIONS", "HEAD"]) await say(method, { method, headers: session.headers });
  await say("a preflight", {
    method: "OPTIONS",
    headers: [
      ["Origin", "http://localhost:1234"],
      ["Access-Control-Request-Method", "POST"],
      ["Access-Control-Request-Headers", "content-type, mcp-session-id"],
    ],
  });
  await sayListening();
  await say("DELETE", { method: "DELETE", headers: session.headers });
  await post("a call after DELETE", call(13, ...plain));
  await say("listening after DELETE", { method: "GET", headers: [ACCEPT_STREAM, ...session.headers] });
  await say("DELETE again", { method: "DELETE", headers: session.headers });
  return recording;

  function sessionOnly(): readonly Header[] {
    return session.headers.filter(([name]) => name === "Mcp-Session-Id");
  }

  /** The question comes on the stream of the call, and the answer to it is one more POST. */
  async function sayAsking(tool: Called): Promise<void> {
    const asking = open(url, posting(call(5, ...tool), session.headers));
    await asking.until((text) => text.includes('"elicitation/create"'), "a question");
    const id = /"method":"elicitation\/create".*"id":(\d+)|"id":(\d+),.*"elicitation/
      .exec(asking.text)
      ?.slice(1);
    const result = { action: "accept", content: { name: "Ada", color: "red", number: 1, pets: "cats" } };
    const answered = { jsonrpc: "2.0", id: Number(id?.find((found) => found !== undefined)), result };
    await post("an answer", answered);
    recording["a call that asks"] = record(await asking.over());
  }

  async function sayListening(): Promise<void> {
    const listening = open(url, { method: "GET", headers: [ACCEPT_STREAM, ...session.headers] });
    await listening.head();
    await say("listening twice", { method: "GET", headers: [ACCEPT_STREAM, ...session.headers] });
    if (tells === undefined) {
      listening.leave();
      recording.listening = record(await listening.over());
      return;
    }
    await post("a call that tells", call(12, ...tells.tool));
    await listening.until((text) => text.includes(tells.text) && text.endsWith("\n\n"), tells.text);
    listening.leave();
    recording.listening = record(await listening.over());
    const last = /^id: (.*)$/m.exec(listening.text)?.[1];
    if (last === undefined) return;
    const again = open(url, {
      method: "GET",
      headers: [ACCEPT_STREAM, ...session.headers, ["Last-Event-ID", last]],
    });
    await again.head();
    again.leave();
    recording["listening again from an event"] = record(await again.over());
  }
}
