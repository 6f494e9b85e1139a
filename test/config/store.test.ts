import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";

const SERVERS = 'servers: { a: { upstream: { url: "http://a" } } }';
const PEM = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n";

function problemsOf(store: object): unknown {
  try {
    return parseConfig(`store: ${JSON.stringify(store)}\n${SERVERS}`, {});
  } catch (error) {
    return error instanceof ConfigError ? error.problems : error;
  }
}

test("every setting of a Redis arrives with its unit, and its files are read", async () => {
  const path = await pemFile();
  const tls = { ca: path, cert: path, key: path, servername: "redis.internal" };
  const store = { url: "rediss://joe:$" + "{PW}@host", lease: "3s", timeout: "100ms", prefix: "a:b/", tls };

  const { config, warnings } = parseConfig(`store: ${JSON.stringify(store)}\n${SERVERS}`, { PW: "p%40ss" });

  expect(config.store).toEqual({
    url: "rediss://joe:p%40ss@host",
    leaseMs: 3_000,
    timeoutMs: 100,
    prefix: "a:b/",
    acceptsPlaintext: false,
    tls: { ca: PEM, cert: PEM, key: PEM, servername: "redis.internal" },
  });
  expect(warnings).toEqual([]);
});

test("a certificate and its key go together", async () => {
  const path = await pemFile();

  expect(problemsOf({ url: "rediss://h", tls: { cert: path } })).toEqual([
    { path: "store.tls.cert", message: "needs tls.key as well" },
  ]);
  expect(problemsOf({ url: "rediss://h", tls: { key: path } })).toEqual([
    { path: "store.tls.key", message: "needs tls.cert as well" },
  ]);
});

test.each([
  "redis://:se/cret@h",
  "redis://h:secret",
  "redis://secret@h",
  "rediss://u:%secret@h",
  "redis+cluster://u:secret@h/1",
  "redis+sentinel://u:secret@h",
  "redis://u:sec?ret@h",
  "redis:secret",
  "valkey://u:se/cret@h",
  "Redis://h:secret",
  "u:secret@h:6379",
])("a url that is wrong is not repeated where it may be a password: %s", (url) => {
  const said = JSON.stringify(problemsOf({ url }));
  expect(said).toContain('"path":"store.url"');
  expect(said).not.toMatch(/cret|sec/);
});

async function pemFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-pem-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "file.pem");
  await writeFile(path, PEM);
  return path;
}

const KEYS = `encryptionKeys: [${"a".repeat(64)}]`;

test.each([
  ["acceptPlaintext: true", "has no effect without encryptionKeys"],
  [`${KEYS}, acceptPlaintext: true`, "what is not encrypted is believed: whoever can write"],
  [
    `url: "redis://localhost", ${KEYS}, acceptPlaintext: "true"`,
    "what is not encrypted is believed: whoever can write",
  ],
])("the start warns of %s", (settings, message) => {
  const { config, warnings } = parseConfig(`store: { ${settings} }\n${SERVERS}`, {});
  expect(config.store.acceptsPlaintext).toBe(true);
  expect(warnings).toEqual([{ path: "store.acceptPlaintext", message: expect.stringContaining(message) }]);
});
