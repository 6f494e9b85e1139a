/** Servers of the TypeScript SDK with one transport, or one protocol object, for all their clients: they refuse a second session. */

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { type SdkRelease, sdk } from "../peers/peers.ts";
import { gatewayFor } from "../support/gateway.ts";
import { ModernClient, TASKS } from "../support/modern-client.ts";
import { textOf } from "../support/story.ts";
import { inFrontOf } from "./in-front-of.ts";
import { peersMissing } from "./peers-missing.ts";

interface Transport {
  readonly sessionId: string;
  handleRequest(request: IncomingMessage, response: ServerResponse): Promise<void>;
  handlePostMessage(request: IncomingMessage, response: ServerResponse): Promise<void>;
}

interface Runs {
  readonly url: URL;
  /** How often each tool ran. */
  readonly runs: Map<string, number>;
  restart(): Promise<void>;
}

const WAITING = new Map<string, () => void>();

/** What the tools of the server are: `hello` answers at once, `wait` when it is told to. */
async function serverOf(release: SdkRelease, runs: Map<string, number>) {
  const { McpServer } = await import(sdk(release, "server/mcp"));
  const server = new McpServer({ name: "one", version: "1" });
  const ran = (tool: string) => runs.set(tool, (runs.get(tool) ?? 0) + 1);
  server.tool("hello", async () => {
    ran("hello");
    return { content: [{ type: "text", text: "hello" }] };
  });
  server.tool("wait", async () => {
    ran("wait");
    await new Promise<void>((resolve) => WAITING.set("wait", resolve));
    return { content: [{ type: "text", text: "waited" }] };
  });
  return server;
}

async function streamable(release: SdkRelease, runs: Map<string, number>): Promise<RequestListener> {
  const { StreamableHTTPServerTransport } = await import(sdk(release, "server/streamableHttp"));
  const transport: Transport = new StreamableHTTPServerTransport({ sessionIdGenerator: () => randomUUID() });
  await (await serverOf(release, runs)).connect(transport);
  return (request, response) => void transport.handleRequest(request, response);
}

async function sse(release: SdkRelease, runs: Map<string, number>): Promise<RequestListener> {
  const { SSEServerTransport } = await import(sdk(release, "server/sse"));
  const server = await serverOf(release, runs);
  const transports = new Map<string, Transport>();
  return (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://one");
    if (request.method === "GET") {
      const transport: Transport = new SSEServerTransport("/messages", response);
      transports.set(transport.sessionId, transport);
      server.connect(transport).catch((error: Error) => response.writeHead(500).end(error.message));
    } else if (pathname === "/messages")
      void transports.get(searchParams.get("sessionId") ?? "")?.handlePostMessage(request, response);
    else response.writeHead(404).end();
  };
}

async function started(make: (runs: Map<string, number>) => Promise<RequestListener>): Promise<Runs> {
  const runs = new Map<string, number>();
  let listener = await make(runs);
  const server = createServer((request, response) => listener(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const restart = async () => {
    listener = await make(runs);
    server.closeAllConnections();
  };
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`), runs, restart };
}

function loggedIn(listener: RequestListener): RequestListener {
  return (request, response) => {
    if (request.headers.authorization === undefined) response.writeHead(401).end();
    else listener(request, response);
  };
}

/** Notes the tenant of each request, and hands the body on as if it had just come. */
function noting(listener: RequestListener, seen: [method: string, tenant: unknown][]): RequestListener {
  return (request, response) => {
    if (request.method !== "POST") return listener(request, response);
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.once("end", () => {
      const body = Buffer.concat(chunks);
      seen.push([JSON.parse(body.toString()).method, request.headers["x-tenant"]]);
      const again = Object.assign(Readable.from([body]), {
        method: request.method,
        url: request.url,
        headers: request.headers,
        rawHeaders: request.rawHeaders,
        socket: request.socket,
      });
      listener(again as never, response);
    });
  };
}

/** The last: whether the server takes another session once the one that it has is over. */
const KINDS = [
  ["1.10", "streamable-http", streamable, false],
  ["1.22", "streamable-http", streamable, false],
  ["1.32", "streamable-http", streamable, false],
  ["1.32", "sse", sse, true],
] as const;

describe.each(KINDS)("SDK %s, %s", (release, _, make, takesTurns) => {
  const missing = peersMissing(`SDK ${release}`, () => sdk(release, "server/mcp"));

  async function front() {
    const server = await started((runs) => make(release, runs));
    return { server, front: await inFrontOf(server.url, onTestFinished) };
  }

  test.skipIf(missing)("lists and calls go over the one session, each call once", async () => {
    const { server, front: one } = await front();
    const user = one.client(TASKS);
    expect((await user.result("tools/list")).tools).toHaveLength(2);
    const answers = await Promise.all(Array.from({ length: 5 }, () => user.callTool("hello")));
    expect(answers.map(textOf)).toEqual(["hello", "hello", "hello", "hello", "hello"]);
    expect(server.runs.get("hello")).toBe(5);
    expect((await user.result("tools/list")).tools).toHaveLength(2);
  });

  test.skipIf(missing)("a list is answered while the call runs that has the session", async () => {
    const { server, front: one } = await front();
    const user = one.client(TASKS);
    const { taskId } = await user.callTool("wait");
    await expect.poll(() => server.runs.get("wait"), { timeout: 60_000 }).toBe(1);
    expect((await user.result("tools/list")).tools).toHaveLength(2);
    const after = user.callTool("hello");
    WAITING.get("wait")?.();
    expect(textOf((await user.settled(taskId)).result)).toBe("waited");
    const answer = await after;
    const text = answer.resultType === "task" ? (await user.settled(answer.taskId)).result : answer;
    expect(textOf(text)).toBe("hello");
    expect([server.runs.get("wait"), server.runs.get("hello")]).toEqual([1, 1]);
  });

  test.skipIf(missing)("clients that declare something else are served in the same session", async () => {
    const { server, front: one } = await front();
    expect(textOf(await one.client(TASKS).callTool("hello"))).toBe("hello");
    expect(textOf(await one.client({ sampling: {} }).callTool("hello"))).toBe("hello");
    expect(textOf(await one.client({}).callTool("hello"))).toBe("hello");
    expect(server.runs.get("hello")).toBe(3);
  });

  test.skipIf(missing)(
    takesTurns
      ? "callers with other credentials have their turn"
      : "only the first credentials have the session",
    async () => {
      // The gateway's own session, which it opens when it starts, is nobody's.
      const server = await started(async (runs) => loggedIn(await make(release, runs)));
      const { url } = await gatewayFor({
        upstream: server.url,
        forwardHeaders: ["authorization"],
        policy: { mode: "never", waitForMs: 60_000 },
      });
      const [ada, grace] = ["ada", "grace"].map(
        (name) => new ModernClient(url, { capabilities: {}, headers: { authorization: `Bearer ${name}` } }),
      ) as [ModernClient, ModernClient];
      expect(textOf(await ada.callTool("hello"))).toBe("hello");
      const calls = [grace, ada, grace, ada].map((user) => user.send("tools/call", { name: "hello" }));
      const said = (await Promise.all(calls)).map(
        ({ message }) => message.error?.message ?? textOf(message.result),
      );
      const refused = expect.stringMatching(/one session only, and the gateway has it for another caller/);
      expect(said).toEqual(
        takesTurns ? ["hello", "hello", "hello", "hello"] : [refused, "hello", refused, "hello"],
      );
      expect(server.runs.get("hello")).toBe(takesTurns ? 5 : 3);
      expect((await ada.result("tools/list")).tools).toHaveLength(2);
    },
  );

  test.skipIf(missing)(
    "without a login callers with other headers have their turn, each with their own",
    async () => {
      const seen: [method: string, tenant: unknown][] = [];
      const server = await started(async (runs) => noting(await make(release, runs), seen));
      const { url } = await gatewayFor({
        upstream: server.url,
        forwardHeaders: ["x-tenant"],
        policy: { mode: "never", waitForMs: 60_000 },
      });
      const [ada, grace] = ["ada", "grace"].map(
        (name) => new ModernClient(url, { capabilities: {}, headers: { "x-tenant": name } }),
      ) as [ModernClient, ModernClient];
      const answers = await Promise.all([ada, grace, ada, grace].map((user) => user.callTool("hello")));
      expect(answers.map(textOf)).toEqual(["hello", "hello", "hello", "hello"]);
      expect((await grace.result("tools/list")).tools).toHaveLength(2);
      const tenants = (method: string) =>
        seen.filter(([each]) => each === method).map(([, tenant]) => tenant);
      expect(tenants("tools/call").toSorted()).toEqual(["ada", "ada", "grace", "grace"]);
      expect(tenants("tools/list")).toContain("grace");
      expect(server.runs.get("hello")).toBe(4);
    },
  );

  test.skipIf(missing)("a call that its client gives up does not cost the session", async () => {
    const { server, front: one } = await front();
    const user = one.client({});
    await user.result("tools/list");
    const leaving = new AbortController();
    const left = user.send("tools/call", { name: "wait" }, { signal: leaving.signal });
    await expect.poll(() => server.runs.get("wait"), { timeout: 60_000 }).toBe(1);
    leaving.abort();
    await expect(left).rejects.toThrow();
    expect(textOf(await user.callTool("hello"))).toBe("hello");
  });

  test.skipIf(missing)("a server that was restarted is found again", async () => {
    const { server, front: one } = await front();
    const user = one.client({});
    expect(textOf(await user.callTool("hello"))).toBe("hello");
    await server.restart();
    await expect
      .poll(
        async () => (await user.send("tools/call", { name: "hello" })).message.result?.content?.[0]?.text,
        {
          timeout: 60_000,
        },
      )
      .toBe("hello");
  });

  test.skipIf(missing)("where another client has the session, the client is told what to do", async () => {
    const { server, front: other } = await front();
    await other.client({}).callTool("hello");
    const one = await inFrontOf(server.url, onTestFinished);
    const { message } = await one.client({}).send("tools/call", { name: "hello" });
    expect(message.error.message).toMatch(
      /already (initialized|connected).*one session only.*restart the server/is,
    );
    expect(server.runs.get("hello")).toBe(1);
  });
});
