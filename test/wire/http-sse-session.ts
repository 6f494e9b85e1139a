/** What is said to a server of 2024-11-05, which answers on one stream to everything that is posted. */

import { call, INITIALIZED, initialize, posting } from "./legacy-session.ts";
import { ask, open } from "./raw-client.ts";
import { type Recorded, type Recording, record } from "./recording.ts";

export async function speakOverSse(url: URL): Promise<Recording> {
  const recording: Record<string, Recorded> = {};
  const stream = open(url, { method: "GET", headers: [["Accept", "text/event-stream"]] });
  await stream.until((text) => text.includes("\n\n"), "the endpoint");
  const endpoint = new URL(/^data: (.*)$/m.exec(stream.text)?.[1] ?? "", url);
  const post = async (name: string, message: unknown, id?: number) => {
    recording[name] = record(await ask(endpoint, posting(message)));
    if (id !== undefined) await stream.until((text) => text.includes(`"id":${id}`), `the answer to ${name}`);
  };
  await post("initialize", initialize("2024-11-05"), 0);
  await post("a notification", INITIALIZED);
  await post("tools/list", { jsonrpc: "2.0", id: 1, method: "tools/list" }, 1);
  await post("a call", call(2, "echo", { message: "é✓" }), 2);
  const progress = call(3, "longRunningOperation", { duration: 0.2, steps: 2 }, { progressToken: "p" });
  await post("a call with progress", progress, 3);
  await post("an unknown tool", call(4, "none"), 4);
  await post("no JSON-RPC", { id: 5 });
  recording["an unknown path"] = record(await ask(new URL("nothing", endpoint), posting("{}")));
  stream.leave();
  recording["the stream"] = record(await stream.over());
  return recording;
}
