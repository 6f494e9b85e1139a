import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";

const SERVERS = { a: { upstream: { url: "http://a" } } };
const SECRET = `whsec_${Buffer.alloc(24, 1).toString("base64")}`;
const HTTPS = "https://hooks.example/tasks";
const EXPECTED = "must be a secret of 24 to 64 bytes as Standard Webhooks has them: whsec_ and base64";

function problemsOf(webhook: object, name = "w"): unknown {
  try {
    return parseConfig(JSON.stringify({ servers: SERVERS, webhooks: { [name]: webhook } }), {});
  } catch (error) {
    return error instanceof ConfigError ? error.problems.map(({ path, message }) => [path, message]) : error;
  }
}

test("what is left out has its default, and both secrets sign", () => {
  const webhook = { url: HTTPS, secret: "$" + "{NEW}", previousSecret: SECRET };
  const { config } = parseConfig(JSON.stringify({ servers: SERVERS, webhooks: { billing: webhook } }), {
    NEW: SECRET.replace("A", "B"),
  });
  expect(config.webhooks).toEqual([
    {
      name: "billing",
      url: new URL(HTTPS),
      secrets: [SECRET.replace("A", "B"), SECRET],
      events: ["input_required", "completed", "failed", "cancelled", "lost"],
      servers: [],
      tools: [],
      include: "status",
      attempts: 10,
      timeoutMs: 15_000,
    },
  ]);
});

test.each([
  [{ secret: SECRET }, "webhooks.w.url", "must be http or https, but is missing"],
  [{ url: HTTPS }, "webhooks.w.secret", `${EXPECTED}, but is missing`],
  [{ url: HTTPS, secret: "whsec_c2hvcnQ=" }, "webhooks.w.secret", EXPECTED],
  [{ url: HTTPS, secret: "a-password-of-somebody-that-is-long" }, "webhooks.w.secret", EXPECTED],
  [{ url: HTTPS, secret: SECRET, previousSecret: "x" }, "webhooks.w.previousSecret", EXPECTED],
  [
    { url: "https://me:pw@hooks.example", secret: SECRET },
    "webhooks.w.url",
    expect.stringContaining("must not contain credentials"),
  ],
  [
    { url: "http://hooks.example", secret: SECRET },
    "webhooks.w.url",
    "must be https, or http on loopback (or set insecure)",
  ],
  [
    { url: HTTPS, secret: SECRET, events: ["done"] },
    "webhooks.w.events[0]",
    expect.stringMatching(/^must be one of created, input_required, .*, got "done"$/),
  ],
  [
    { url: HTTPS, secret: SECRET, servers: ["b"] },
    "webhooks.w.servers[0]",
    "must be the name of a server; there are a",
  ],
  [
    { url: HTTPS, secret: SECRET, tools: ["["] },
    "webhooks.w.tools[0]",
    expect.stringContaining("must be a glob over tool names"),
  ],
  [
    { url: HTTPS, secret: SECRET, attempts: 11 },
    "webhooks.w.attempts",
    "must be a whole number from 1 to 10, got 11",
  ],
  [
    { url: HTTPS, secret: SECRET, include: "all" },
    "webhooks.w.include",
    'must be one of status, result, got "all"',
  ],
  [{ url: HTTPS, secret: SECRET, timeout: "2m" }, "webhooks.w.timeout", 'must be from 100ms to 1m, got "2m"'],
  [{ url: HTTPS, secret: SECRET, uri: "" }, "webhooks.w.uri", expect.stringContaining("is not a setting")],
])("a webhook that is wrong is refused by the name of the setting: %j", (webhook, path, message) => {
  expect(problemsOf(webhook)).toEqual([[path, message]]);
});

test("http is taken on loopback, and elsewhere where the operator says so", () => {
  expect(problemsOf({ url: "http://127.0.0.1:9/x", secret: SECRET })).toHaveProperty("config");
  expect(problemsOf({ url: "http://hooks.example", secret: SECRET, insecure: true })).toHaveProperty(
    "config",
  );
});

test("a webhook's name has no blanks", () => {
  expect(problemsOf({ url: HTTPS, secret: SECRET }, "my hook")).toEqual([
    ['webhooks["my hook"]', expect.stringContaining("must be a name of up to 64 letters")],
  ]);
});
