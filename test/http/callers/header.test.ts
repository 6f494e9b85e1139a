/** Callers who are named by a proxy. */

import { describe, expect, test } from "vitest";
import { ask } from "../../gateway/transparent/clients.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { ModernClient } from "../../support/modern-client.ts";
import { fronted } from "../fronted.ts";
import { LIST_HEADERS, messageText, RawConnection, type Served, served } from "../served.ts";

const UNKNOWN = { code: -32602, message: "Failed to retrieve task: no such task" };
const HEADER = "x-forwarded-user";
const CALLERS = { identify: "header", header: HEADER, trustedProxies: ["127.0.0.0/8"] } as const;
const SETTINGS = {
  callers: CALLERS,
  policy: { mode: "always" },
  scripts: { "tools/call": () => undefined },
} as const;

test("a task is its caller's, and everybody else's is unknown", async () => {
  const { url, as } = await named();
  const { taskId } = await as("ada").callTool("t");

  expect(await as("ada").task(taskId)).toMatchObject({ taskId, status: "working" });
  const foreign = await as("eve").send("tasks/get", { taskId }, { id: 1 });
  const unknown = await as("eve").send("tasks/get", { taskId: "A".repeat(24) }, { id: 1 });
  expect(foreign.message.error).toEqual(UNKNOWN);
  expect([foreign.status, foreign.text]).toEqual([unknown.status, unknown.text]);
  // Not by another spelling either: what is one name for us need not be one for the proxy.
  expect((await as("Ada").send("tasks/get", { taskId })).message.error).toEqual(UNKNOWN);
  expect(url.hostname).toBe("127.0.0.1");
});

test("callers of 2025-11-25 list their own tasks", async () => {
  const { url } = await named();
  const [ada, eve] = await Promise.all(
    ["ada", "eve"].map((name) => LegacyWire.connect(url, { headers: { [HEADER]: name } })),
  );
  const { taskId } = (await ada?.begin("t")) ?? {};
  expect((await ada?.result("tasks/list"))?.tasks).toMatchObject([{ taskId }]);
  expect((await eve?.result("tasks/list"))?.tasks).toEqual([]);
  expect(await eve?.error("tasks/get", { taskId })).toEqual(UNKNOWN);
});

test.for<[what: string, lines: readonly string[], status: number, says: string]>([
  ["one name", [`${HEADER}: ada`], 200, '"result"'],
  ["a name with commas and spaces", [`${HEADER}: CN=Ada, O=Tools`], 200, '"result"'],
  ["a name of 512 characters", [`${HEADER}: ${"x".repeat(512)}`], 200, '"result"'],
  ["another spelling of the header", ["X-Forwarded-USER: ada"], 200, '"result"'],
  ["no name", [], 401, `the header ${HEADER} is missing or empty`],
  ["an empty name", [`${HEADER}:`], 401, `the header ${HEADER} is missing or empty`],
  ["a name of spaces", [`${HEADER}:  \t `], 401, `the header ${HEADER} is missing or empty`],
  ["another header", ["x_forwarded_user: ada"], 401, `the header ${HEADER} is missing or empty`],
  ["two names", [`${HEADER}: ada`, `${HEADER}: eve`], 400, `the header ${HEADER} is there more than once`],
  ["a name twice", [`${HEADER}: ada`, "X-Forwarded-User: ada"], 400, "is there more than once"],
  [
    "a name that is to go no further",
    [`${HEADER}: ada`, "connection: X-Forwarded-User"],
    400,
    "Connection must",
  ],
  ["a name and nothing", [`${HEADER}: ada`, `${HEADER}:`], 400, "is there more than once"],
  ["a name that is too long", [`${HEADER}: ${"x".repeat(513)}`], 400, "longer than 512 characters"],
])("a request with %s is answered with what is wrong with it", async ([, lines, status, says]) => {
  const { url } = await named();
  const body = messageText();
  const head = Object.entries({ ...LIST_HEADERS, "content-length": body.length, connection: "close" });
  const all = [...head.map(([name, value]) => `${name}: ${value}`), ...lines];
  const connection = new RawConnection(url);
  connection.write(`POST /mcp HTTP/1.1\r\n${all.join("\r\n")}\r\n\r\n${body}`);
  const answer = await connection.answer();
  expect([answer.status, answer.body]).toEqual([status, expect.stringContaining(says)]);
  expect(JSON.parse(answer.body)).toMatchObject({ jsonrpc: "2.0" });
});

test.for([undefined, "ada"])("a request from elsewhere that names %s is refused", async (name) => {
  const { url, server } = await served({
    ...SETTINGS,
    callers: { ...CALLERS, trustedProxies: ["10.0.0.0/8", "::1"] },
  });
  const before = server.received.length;
  const headers: Record<string, string> = name === undefined ? {} : { [HEADER]: name };
  const { status, message } = await new ModernClient(url, { headers }).send("tools/list");
  expect([status, message.error.code]).toEqual([403, -32600]);
  expect(message.error.message).toMatch(/127\.0\.0\.1 is none of callers\.trustedProxies/);
  expect(server.received.slice(before)).toEqual([]);
});

describe("the server", () => {
  test("gets the name where requests are forwarded as they are", async () => {
    const { url, server } = await named();
    const ada = await LegacyWire.connect(url, { headers: { [HEADER]: "ada" } });
    await ada.send("resources/list");
    expect((await server.arrival("resources/list")).headers[HEADER]).toBe("ada");
  });

  test("gets it elsewhere when it is to be forwarded", async () => {
    const { as, server } = await named({ forwardHeaders: [HEADER] });
    await as("ada").callTool("t");
    expect((await server.arrival("tools/call")).headers[HEADER]).toBe("ada");
  });

  test("tells everybody of its documents, as the proxy asks for them", async () => {
    const { url, reached } = await fronted({ callers: CALLERS });
    const path = "/.well-known/oauth-protected-resource/mcp";
    expect((await ask(url, { path })).status).toBe(200);
    expect((await ask(url, { path, method: "POST" })).status).toBe(401);
    expect((await ask(url, { path: "/page" })).status).toBe(401);
    for (const way of ["..", "%2e%2E", ".\\..\\..", "x/../.."])
      expect([way, (await ask(url, { path: `/.well-known/${way}/page` })).status]).toEqual([way, 401]);
    expect(reached()).toMatchObject([{ url: "/.well-known/oauth-protected-resource/base/mcp" }]);
  });

  test("is asked by a browser what it may send, which has no name yet", async () => {
    const origin = "https://app.example";
    const { url } = await named({ listen: { allowedOrigins: [origin] } });
    const headers = { origin, "access-control-request-method": "POST" };
    const { status } = await ask(url, { method: "OPTIONS", path: "/mcp", headers });
    const withBody = await ask(url, {
      method: "OPTIONS",
      path: "/mcp",
      body: "{}",
      headers: { ...headers, "content-length": "2" },
    });
    expect([status, withBody.status]).toEqual([204, 401]);
  });
});

async function named(
  settings: Partial<Parameters<typeof served>[0]> = {},
): Promise<Served & { as(name: string): ModernClient }> {
  const gateway = await served({ ...SETTINGS, ...settings });
  return { ...gateway, as: (name) => new ModernClient(gateway.url, { headers: { [HEADER]: name } }) };
}
