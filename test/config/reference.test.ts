import { AjvJsonSchemaValidator } from "@modelcontextprotocol/server/validators/ajv";
import { expect, test } from "vitest";
import { jsonSchema, type SettingSchema, settingSchema } from "../../src/config/json-schema.ts";
import { readConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { SECTIONS, settingsMarkdown } from "../../src/config/reference.ts";
import { defaults } from "../../src/config/schema.ts";

const validate = new AjvJsonSchemaValidator().getValidator(jsonSchema());
const upstream = { url: "http://localhost/mcp" };
const command = "node";
const ENVIRONMENT = {
  PORT: "80",
  KEEP: "15s",
  TTL: "1h",
  SIZE: "1mb",
  START: "3s",
  KEY: "0".repeat(64),
  LEVEL: "info",
  AUDIT: "true",
  RATE: "none",
  MODE: "auto",
  OVER_HTTP: "sse",
  OVER_STDIO: "stdio",
};

test.each([
  ["the least file", { servers: { a: { upstream } } }],
  [
    "references to the environment",
    {
      listen: { port: "$" + "{PORT}" },
      limits: { keepAlive: "$" + "{KEEP}" },
      servers: { a: { upstream, tasks: { ttl: "$" + "{TTL}", maxResultBytes: "$" + "{SIZE}" } } },
    },
  ],
  ["a server of 2024-11-05", { servers: { a: { upstream: { ...upstream, transport: "sse" } } } }],
  ["a command", { servers: { a: { upstream: { command } } } }],
  [
    "a command with everything that goes with one",
    {
      servers: {
        a: {
          upstream: {
            command,
            args: ["server.js"],
            env: { KEY: "$" + "{KEY}" },
            cwd: ".",
            transport: "stdio",
            sessions: "per-call",
            maxSessions: 3,
            idleTimeout: "10m",
            startTimeout: "$" + "{START}",
          },
        },
      },
    },
  ],
  [
    "what becomes of lost calls, and keys",
    {
      store: { encryptionKeys: ["$" + "{KEY}"] },
      limits: { maxUnwritten: "1gb" },
      servers: { a: { upstream, tasks: { onLoss: "retry", unsafe: true } } },
    },
  ],
  [
    "words from the environment",
    {
      log: { level: "$" + "{LEVEL}", audit: "$" + "{AUDIT}" },
      limits: { perCaller: { calls: "$" + "{RATE}" } },
      servers: {
        a: { upstream: { ...upstream, transport: "$" + "{OVER_HTTP}" }, tasks: { mode: "$" + "{MODE}" } },
      },
    },
  ],
  [
    "a command over a transport from the environment",
    { servers: { a: { upstream: { command, transport: "$" + "{OVER_STDIO}" } } } },
  ],
  [
    "a port and a flag as texts",
    { listen: { port: "80" }, log: { audit: "true" }, servers: { a: { upstream } } },
  ],
  [
    "names in capitals",
    { servers: { A: { upstream: { ...upstream, headers: { "X-Key": "x" }, forwardHeaders: ["X-B"] } } } },
  ],
  [
    "what is not for the gateway",
    {
      $schema: "./schema.json",
      "x-common": { anything: [1] },
      listen: { "x-note": 1 },
      servers: {
        "x-name": {
          "x-note": null,
          upstream: { ...upstream, "x-note": "", headers: { "x-key": "x" } },
          tasks: { "x-note": {} },
          tools: [{ match: "a", "x-note": true }],
        },
      },
    },
  ],
  ["a rule", { servers: { a: { upstream, tools: [{ match: "x_*", mode: "never", ttl: "1h" }] } } }],
])("an editor and the gateway accept %s", (_, document) => {
  expect(validate(document)).toMatchObject({ valid: true });
  expect(() => readConfig(document, ENVIRONMENT)).not.toThrow();
});

test.each([
  ["a file without servers", {}],
  ["an unknown setting", { servers: { a: { upstream } }, bogus: 1 }],
  ["an unknown setting further down", { servers: { a: { upstream: { ...upstream, uri: "x" } } } }],
  ["neither a URL nor a command", { servers: { a: { upstream: {} } } }],
  ["both a URL and a command", { servers: { a: { upstream: { ...upstream, command } } } }],
  ["a URL with arguments", { servers: { a: { upstream: { ...upstream, args: [] } } } }],
  ["a URL over stdio", { servers: { a: { upstream: { ...upstream, transport: "stdio" } } } }],
  ["a command with headers", { servers: { a: { upstream: { command, headers: {} } } } }],
  ["a command over HTTP", { servers: { a: { upstream: { command, transport: "sse" } } } }],
  ["a command without sessions", { servers: { a: { upstream: { command, maxSessions: 0 } } } }],
  ["a command with arguments in one text", { servers: { a: { upstream: { command, args: "x" } } } }],
  ["a variable that is none", { servers: { a: { upstream: { command, env: { "A B": "x" } } } } }],
  ["a duration without a unit", { servers: { a: { upstream, tasks: { ttl: "5" } } } }],
  ["a size as a number", { limits: { maxBody: 5 }, servers: { a: { upstream } } }],
  ["a port out of range", { listen: { port: 65_536 }, servers: { a: { upstream } } }],
  ["a store without keys", { store: { encryptionKeys: [] }, servers: { a: { upstream } } }],
  ["a port that is no number", { listen: { port: "x" }, servers: { a: { upstream } } }],
  ["a flag that is none", { log: { audit: "yes" }, servers: { a: { upstream } } }],
  ["an empty word", { servers: { a: { upstream, tasks: { mode: "" } } } }],
  ["a schema further down", { listen: { $schema: "x" }, servers: { a: { upstream } } }],
  ["a key that begins otherwise", { "X-common": 1, servers: { a: { upstream } } }],
  ["a server that is a note", { servers: { "x-note": "x" } }],
  ["a header that is a note", { servers: { a: { upstream: { ...upstream, headers: { "x-a": {} } } } } }],
  ["a mode nobody knows", { servers: { a: { upstream, tasks: { mode: "maybe" } } } }],
])("an editor and the gateway refuse %s", (_, document) => {
  expect(validate(document)).toMatchObject({ valid: false });
  expect(() => readConfig(document, ENVIRONMENT)).toThrow(ConfigError);
});

test("the schema tells the defaults in the words of the file", () => {
  const { properties } = settingSchema();
  const server = properties?.servers?.additionalProperties;
  const tasks = server ? server.properties?.tasks : undefined;
  const told = Object.entries(tasks?.properties ?? {}).map(([name, setting]) => [name, setting.default]);
  expect(Object.fromEntries(told)).toEqual(defaults.tasks);
});

test("every setting is explained", () => {
  expect(leaves(settingSchema()).filter(({ description }) => description === undefined)).toEqual([]);
});

test("the tables have a row for every setting, with its values, default and meaning", () => {
  const tables = SECTIONS.map((section) => settingsMarkdown(section).split("\n"));
  const lines = tables.flat();
  for (const [head, rule, ...rows] of tables) {
    expect([head, rule]).toEqual(["| setting | values | default | meaning |", "|---|---|---|---|"]);
    expect(rows).not.toEqual([]);
  }
  expect(lines).toContain(
    "| `servers.<name>.tasks.waitFor` | duration | `250ms` | How long an `auto` call may run before the client gets a task. |",
  );
  expect(lines).toContain(
    "| `servers.<name>.tools[].…` | `mode`, `waitFor`, `ttl`, `pollInterval`, `maxPollInterval`, `maxRuntime`, `onLoss`, `unsafe`, `maxResultBytes`, `heartbeat`, `immediateResponse`, `fallback`, `fallbackAfter` | from `tasks` | The same settings for the tools that match. |",
  );
  for (const line of lines) expect(line).toMatch(/^\|([^|]+\|){4}$/);
});

function leaves({ properties, additionalProperties, ...setting }: SettingSchema): readonly SettingSchema[] {
  if (properties !== undefined) return Object.values(properties).flatMap(leaves);
  const isNamed = additionalProperties && additionalProperties.properties !== undefined;
  return isNamed ? leaves(additionalProperties) : [setting];
}
