// A server that is served over whichever transport the environment's TRANSPORT names, and does in all of them what a
// story wants: WITNESS is a port on which it says what has happened to its calls, and is told when one may go on.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  CallToolRequestSchema,
  CreateMessageResultSchema,
  ElicitResultSchema,
  ListRootsResultSchema,
  ListToolsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { garbling, garblingOutput } from "./garbled.mjs";
import { modernHandler } from "./modern-handler.mjs";

const { TRANSPORT, WITNESS, PORT = "0" } = process.env;
const SESSION = "mcp-session-id";

const witness = connect(Number(WITNESS), "127.0.0.1");
const say = (event) => witness.write(`${JSON.stringify(event)}\n`);
const gates = new Map();
createInterface({ input: witness }).on("line", (line) => {
  const { release, exit, change } = JSON.parse(line);
  if (exit !== undefined) {
    process.stderr.write("disk full\n");
    process.exit(exit);
  }
  if (release !== undefined) gateOf(release).open();
  if (change) void changeTools();
});
// Without its witness it has nobody to serve, and must not be left behind.
witness.on("close", () => process.exit(0));

function gateOf(label) {
  if (!gates.has(label)) {
    let open;
    const opened = new Promise((resolve) => {
      open = resolve;
    });
    gates.set(label, { opened, open });
  }
  return gates.get(label);
}

const text = (said) => ({ content: [{ type: "text", text: said }] });
const form = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
const INFO = { name: "storyteller", version: "1.0.0" };
const servers = new Set();
let isChanged = false;

const TOOLS = {
  echo: ({ text: said }) => text(said),
  hold: async ({ label }, { signal }) => {
    await heldBack(label, signal);
    return text(`${label} was released`);
  },
  steps: async ({ label }, { signal, tell }) => {
    await tell({ progress: 1, total: 2, message: "halfway" });
    await heldBack(label, signal);
    await tell({ progress: 2, total: 2, message: "there" });
    return text(`${label} took 2 steps`);
  },
  ask: async ({ label }, { request }) => {
    const params = { message: `Who is ${label}?`, requestedSchema: form };
    const { action, content } = await request("elicitation/create", params, ElicitResultSchema);
    return text(`${label}: ${action} ${content?.name}`);
  },
  sample: async (_, { request }) => {
    const messages = [{ role: "user", content: { type: "text", text: "Capital of France?" } }];
    const params = { messages, maxTokens: 9 };
    const { content } = await request("sampling/createMessage", params, CreateMessageResultSchema);
    return text(`The model says ${content.text}`);
  },
  roots: async (_, { request }) => {
    const { roots } = await request("roots/list", {}, ListRootsResultSchema);
    return text(roots.map(({ uri }) => uri).join(" "));
  },
  garble: ({ how }) => text(`garble ${how}`),
  large: ({ bytes }) => text("x".repeat(bytes)),
  fail: () => ({ ...text("It cannot be done"), isError: true }),
  break: () => {
    throw Object.assign(new Error("The machine is broken"), { code: 42, data: { part: "wheel" } });
  },
  log: async (_, { log }) => {
    await log({ level: "info", logger: "story", data: "once upon a time" });
    return text("logged");
  },
  change: async () => {
    await changeTools();
    return text("changed");
  },
};

async function changeTools() {
  isChanged = !isChanged;
  for (const server of servers) await server.sendToolListChanged();
  modern.toolsChanged();
}

async function heldBack(label, signal) {
  await new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => {
      say({ what: "cancelled", label });
      reject(new Error("cancelled"));
    });
    gateOf(label).opened.then(resolve);
    say({ what: "held", label });
  });
}

function listed() {
  const names = [...Object.keys(TOOLS), ...(isChanged ? ["new"] : [])];
  return names.map((name) => ({ name, inputSchema: { type: "object" } }));
}

const modern = modernHandler({ tools: TOOLS, listed, info: INFO });

function newServer() {
  const server = new Server(INFO, { capabilities: { tools: { listChanged: true }, logging: {} } });
  servers.add(server);
  server.onclose = () => servers.delete(server);
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: listed() }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) => {
    const token = extra._meta?.progressToken;
    const related = { relatedRequestId: extra.requestId };
    return TOOLS[params.name](params.arguments ?? {}, {
      signal: extra.signal,
      request: (method, asked, schema) => server.request({ method, params: asked }, schema, related),
      tell: (progress) =>
        extra.sendNotification({
          method: "notifications/progress",
          params: { progressToken: token, ...progress },
        }),
      log: (message) => extra.sendNotification({ method: "notifications/message", params: message }),
    });
  });
  // Whatever else there is has been invented since.
  server.fallbackRequestHandler = ({ method, params }) => ({ echoed: method, number: params?.number });
  return server;
}

/** One server a session, as the examples of the SDK do it. */
function withSessions(options) {
  const transports = new Map();
  return async (request, response) => {
    const id = request.headers[SESSION];
    if (request.method === "GET" && options.enableJsonResponse) return refuse(response, 405);
    if (id !== undefined && !transports.has(id)) return refuse(response, 404);
    const transport = transports.get(id) ?? (await opened());
    await transport.handleRequest(request, response);
  };

  async function opened() {
    const transport = new StreamableHTTPServerTransport({
      ...options,
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => transports.set(id, transport),
      onsessionclosed: (id) => transports.delete(id),
    });
    await newServer().connect(transport);
    return transport;
  }
}

/** One server a request. */
async function withoutSessions(request, response) {
  if (request.method !== "POST") return refuse(response, 405);
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  const server = newServer();
  response.on("close", () => void server.close());
  await server.connect(transport);
  await transport.handleRequest(request, response);
}

/** HTTP+SSE of 2024-11-05: one server a stream, and nothing at that address but the stream. */
function overSse() {
  const transports = new Map();
  return async (request, response) => {
    const url = new URL(request.url, "http://any");
    const id = url.searchParams.get("sessionId");
    if (request.method === "GET" && url.pathname === "/mcp") {
      const transport = new SSEServerTransport("/messages", response);
      transports.set(transport.sessionId, transport);
      response.on("close", () => transports.delete(transport.sessionId));
      await newServer().connect(transport);
    } else if (request.method === "POST" && transports.has(id)) {
      await transports.get(id).handlePostMessage(request, response);
    } else {
      refuse(response, 404);
    }
  };
}

function refuse(response, status) {
  response.writeHead(status).end();
}

const HANDLERS = {
  "streamable-http": () => withSessions({}),
  "json-only": () => withSessions({ enableJsonResponse: true }),
  stateless: () => withoutSessions,
  sse: overSse,
  modern: () => modern.handle,
};

if (TRANSPORT === "stdio") {
  process.stdin.on("end", () => process.exit(0));
  garblingOutput(process.stdout);
  await newServer().connect(new StdioServerTransport());
  say({ what: "started", pid: process.pid });
} else {
  const handle = HANDLERS[TRANSPORT]();
  const http = createServer((request, response) => handle(request, garbling(response)));
  http.listen(Number(PORT), "127.0.0.1", () =>
    say({ what: "started", pid: process.pid, port: http.address().port }),
  );
}
