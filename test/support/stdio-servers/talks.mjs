// A legacy server on its standard streams that says what it heard, and does with a call what the call says.

import { createInterface } from "node:readline";
import { print } from "./server.mjs";

const heard = [];
const calls = new Map();
const asked = new Map();
let lastAsked = -1;

const text = (id, said) => answer(id, { content: [{ type: "text", text: said }] });

const tools = {
  echo: ({ said }, { id }) => text(id, said),
  pid: (_, { id }) => text(id, String(process.pid)),
  exit: ({ code }) => process.exit(code),
  /** Says what it is given, and then answers. */
  say: ({ messages }, { id, token }) => {
    for (const message of messages)
      print(JSON.parse(JSON.stringify(message).replaceAll('"TOKEN"', JSON.stringify(token))));
    text(id, "said");
  },
  /** Asks the client, and answers with what it was told. */
  ask: async ({ method, params }, { id }) => {
    lastAsked += 1;
    const told = new Promise((resolve) => asked.set(lastAsked, resolve));
    print({ jsonrpc: "2.0", id: lastAsked, method, params });
    answer(id, { content: [], told: await told });
  },
  /** Writes a message as it is, but for DEEP, which is JSON that few can write again, and ID, the call's own. */
  write: ({ line }, { id }) => {
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    process.stdout.write(`${line.replace("DEEP", deep).replace("ID", JSON.stringify(id))}\n`);
  },
  work: ({ ms }, { id }) => setTimeout(text, ms, id, "worked"),
  /** Is answered when the client lets it be, and is not when it is cancelled. */
  wait: ({ key }, { id }) => calls.set(key, id),
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const message = JSON.parse(line);
  const { id, method, params } = message;
  if (method === "initialize" && params.protocolVersion === "never answered") {
    heard.push(message);
  } else if (method === "initialize") {
    const serverInfo = { name: "talks", version: "1", "x-server": true };
    const { protocolVersion, capabilities: declared } = params;
    const tasks = declared["x-own-tasks"] ? { tasks: { "x-own": true } } : {};
    const capabilities = { tools: {}, logging: {}, ...tasks };
    answer(id, { protocolVersion, capabilities, serverInfo, instructions: "Talk." });
  } else if (method === "tools/list") {
    const inputSchema = { type: "object", "x-schema": 1.5 };
    answer(id, { tools: Object.keys(tools).map((name) => ({ name, inputSchema, "x-tool": null })) });
  } else if (method === "tools/call" && tools[params.name] !== undefined) {
    tools[params.name](params.arguments ?? {}, { id, token: params._meta?.progressToken });
  } else if (method === "x/heard") {
    answer(id, { heard });
  } else if (method === "x/let") {
    text(calls.get(params.key), "let");
    if (id !== undefined) answer(id, {});
  } else if (method === "x/say") {
    for (let time = 0; time < (params.times ?? 1); time++) for (const each of params.messages) print(each);
  } else if (method === undefined) {
    heard.push(message);
    asked.get(id)?.(message);
  } else if (id === undefined) {
    heard.push(message);
  } else {
    answer(id, { asked: message });
  }
});

function answer(id, result) {
  print({ jsonrpc: "2.0", id, result, "x-top": 1 });
}
