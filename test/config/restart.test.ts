import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { isSameConfig, renewed } from "../../src/config/restart.ts";

const SERVERS = 'servers: { a: { upstream: { url: "http://a/mcp" } } }';
const KEY = "1".repeat(64);
const of = (text: string) => parseConfig(`${text}\n${SERVERS}`, {}).config;

const changes: readonly (readonly [string, string])[] = [
  ["listen: { host: '::1' }", "listen.host"],
  ["listen: { port: 1 }", "listen.port"],
  ["listen: { allowedHosts: [a] }", "listen.allowedHosts"],
  ["listen: { allowedOrigins: ['https://a.example'] }", "listen.allowedOrigins"],
  ["listen: { publicUrl: 'https://a.example' }", "listen.publicUrl"],
  ["listen: { readyPath: /up }", "listen.readyPath"],
  ["listen: { readyPath: none }", "listen.readyPath"],
  ["admin: { port: 1 }", "admin"],
  ["store: { url: 'memory:' }", "store.url"],
  ["store: { lease: 20s }", "store.lease"],
  ["store: { timeout: 20s }", "store.timeout"],
  ["store: { prefix: 'a:' }", "store.prefix"],
  [`store: { encryptionKeys: ["${KEY}"] }`, "store.encryptionKeys"],
  ["callers: { identify: anonymous }", "callers"],
  ["limits: { maxHeaders: 9kb }", "limits.maxHeaders"],
  ["limits: { maxDepth: 9 }", "limits.maxDepth"],
  ["limits: { maxUnwritten: 9mb }", "limits.maxUnwritten"],
  ["limits: { keepAlive: 9s }", "limits.keepAlive"],
  ["limits: { keepAliveJson: false }", "limits.keepAliveJson"],
  ["limits: { maxWait: 9s }", "limits.maxWait"],
  ["limits: { restartGap: 9s }", "limits.restartGap"],
  ["log: { level: warn }", "log.level"],
  ["log: { audit: true }", "log.audit"],
  ["log: { callers: hashed }", "log.callers"],
  ["reload: watch", "reload"],
  ["tracing: otlp", "tracing"],
  [
    `webhooks: { a: { url: 'http://localhost/', secret: whsec_${Buffer.alloc(24).toString("base64")} } }`,
    "webhooks",
  ],
];

test("subscriptions of clients wait for a restart", () => {
  const store = `store: { encryptionKeys: ["${KEY}"] }`;
  const [older, newer] = [of(store), of(`${store}\nevents: { subscriptions: on }`)];
  expect(renewed(older, newer)).toEqual({ config: older, restart: ["events"] });
  expect(renewed(newer, older)).toEqual({ config: newer, restart: ["events"] });
});

test.each(changes)("%s waits for a restart", (text, setting) => {
  const [older, newer] = [of(""), of(text)];
  const { config, restart } = renewed(older, newer);
  expect(restart).toEqual([setting]);
  expect(config).toEqual(older);
  expect(isSameConfig(older, config)).toBe(true);
  expect(renewed(newer, older).restart).toEqual([setting]);
});

test.each([
  "limits: { maxBody: 9kb }",
  "limits: { maxConnections: 9 }",
  "limits: { shutdownDelay: 9s }",
  "limits: { drainTimeout: 9s }",
  "limits: { total: { tasks: 9 } }",
  "limits: { perCaller: { calls: 9/s } }",
  "limits: { perRoute: { calls: 9/s } }",
])("%s does not", (text) => {
  const [older, newer] = [of(""), of(text)];
  expect(renewed(older, newer)).toEqual({ config: newer, restart: [] });
  expect(isSameConfig(older, newer)).toBe(false);
});

test("the same keys are no change, and another address of a server is one", () => {
  const keyed = () => of(`store: { encryptionKeys: ["${KEY}"] }`);
  expect(renewed(keyed(), keyed()).restart).toEqual([]);
  const moved = parseConfig(SERVERS.replace("//a/", "//b/"), {}).config;
  expect(isSameConfig(of(""), moved)).toBe(false);
});
