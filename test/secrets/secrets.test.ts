import { createSecretKey, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { fileWith, run } from "../cli/process.ts";
import { directory } from "../store/places.ts";
import { configFor } from "../support/gateway.ts";
import { ModernClient } from "../support/modern-client.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { type Script, startScriptedServer } from "../support/scripted-server.ts";
import { runMarked, type Written } from "./run.ts";
import { CREDENTIALS, DATA, found } from "./secrets.ts";

/** What reaches the server of what a client and the configuration have: that much was there to be leaked. */
const SENT = [
  "client-authorization",
  "client-cookie",
  "client-key",
  "config-authorization",
  "config-query",
  "argument",
];

function expectSilence({ log, elsewhere, own, sent }: Written): void {
  expect(found(sent, CREDENTIALS, DATA)).toEqual(expect.arrayContaining(SENT));
  expect(found(own, DATA)).toEqual(expect.arrayContaining(["result"]));
  expect(log).toContain('"audit":"created"');
  expect(leaks(log)).toEqual([]);
  expect(leaks(elsewhere)).toEqual([]);
}

/** The lines with something in them that should not be there. */
function leaks(text: string): readonly string[] {
  return text
    .split("\n")
    .flatMap((line) => found(line, CREDENTIALS, DATA).map((name) => `${name}: ${line.slice(0, 2_000)}`));
}

test("whoever looks for a secret finds one that is there, however it is written", () => {
  const [mark, other] = [DATA.argument, CREDENTIALS.session];
  expect(found(`x${mark}y`, DATA)).toEqual(["argument"]);
  expect(
    found(`x${Buffer.from(`user:${other}!`).toString("base64")}`, CREDENTIALS, DATA).length,
  ).toBeLessThan(2);
  expect(found(Buffer.from(other).toString("base64"), CREDENTIALS)).toEqual(["session"]);
  expect(leaks(`{"a":1}\n{"b":"${mark}"}`)).toEqual([`argument: {"b":"${mark}"}`]);
  expect(found("nothing", CREDENTIALS, DATA)).toEqual([]);
});

test("nothing of what is secret is in a log, whatever fails, over stdio", async () => {
  const { log, own } = await runMarked({ url: "memory:", isStdio: true });
  expect(found(own, DATA)).toContain("result");
  expect(leaks(log)).toEqual([]);
});

test.each([
  { keys: true, expected: [] },
  { keys: false, expected: ["argument", "result", "question", "answer"] },
])("a directory with keys: $keys", async ({ keys, expected }) => {
  const path = await directory();
  const encryptionKeys = keys ? { encryptionKeys: [createSecretKey(randomBytes(32))] } : {};
  const written = await runMarked({ url: `level:${path}`, isEchoing: keys, ...encryptionKeys });
  expectSilence(written);
  const files = await Promise.all((await readdir(path)).map((name) => readFile(join(path, name), "latin1")));
  expect(found(files.join("\n"), CREDENTIALS)).toEqual([]);
  expect(expected.filter((name) => !found(files.join("\n"), DATA).includes(name))).toEqual([]);
});

test.skipIf(withoutRedis("secrets in Redis")).each([{ keys: true }, { keys: false }])(
  "a Redis with keys: $keys",
  async ({ keys }) => {
    const redis = await redisForTest({ password: CREDENTIALS["store-password"] });
    const encryptionKeys = keys ? { encryptionKeys: [createSecretKey(randomBytes(32))] } : {};
    const written = await runMarked({ url: redis.url, isEchoing: keys, ...encryptionKeys });
    expectSilence(written);
    const file = (await readdir(redis.folder, { recursive: true })).filter((name) =>
      /\.(?:aof|rdb)$/.test(name),
    );
    const kept = (await Promise.all(file.map((name) => readFile(join(redis.folder, name), "latin1")))).join(
      "\n",
    );
    expect(kept).toContain("taskgate");
    expect(found(kept, CREDENTIALS)).toEqual([]);
    expect(found(kept, DATA).length === 0).toBe(keys);
  },
);

test("a server's environment stays its own, though it ends before it is of use", async () => {
  const lines: string[] = [];
  const env = { TOKEN: CREDENTIALS.environment };
  const upstream = {
    command: process.execPath,
    args: ["-e", "console.error('no ' + process.env.TOKEN); process.exitCode = process.env.TOKEN ? 3 : 4"],
    env,
  };
  const log = createLog("trace", { write: (line) => void lines.push(line) });
  const gateway = await startGateway(configFor({ upstream }), { log });
  onTestFinished(() => gateway.close());
  const client = new ModernClient(new URL(gateway.routes[0]?.url ?? ""));
  const { text } = await client.send("tools/call", { name: "any" });
  expect(text).toContain("code 3 before it answered initialize: no …");
  expect(leaks([...lines, text, JSON.stringify(gateway.routes)].join("\n"))).toEqual([]);
});

test("what a server repeats of a request when it refuses it is told nobody", async () => {
  const repeat: Script = (call) => {
    const { authorization, "x-config": configured } = call.headers;
    call.reply(500, {
      jsonrpc: "2.0",
      id: null,
      error: { code: -1, message: `${authorization} ${configured}` },
    });
  };
  const server = await startScriptedServer({ initialize: repeat, "server/discover": repeat });
  onTestFinished(server.close);
  const lines: string[] = [];
  const log = createLog("trace", { write: (line) => void lines.push(line) });
  const headers = { "x-config": `key=${CREDENTIALS["config-authorization"]}` };
  const config = configFor({ upstream: server.url, headers, forwardHeaders: ["authorization"] });
  const gateway = await startGateway(config, { log });
  onTestFinished(() => gateway.close());
  const authorization = `Bearer ${CREDENTIALS["client-authorization"]}`;
  const client = new ModernClient(new URL(gateway.routes[0]?.url ?? ""), { headers: { authorization } });
  const { text } = await client.send("tools/call", { name: "any" });
  const said = JSON.stringify(gateway.routes);
  expect([text, said]).toEqual([expect.stringContaining("HTTP 500"), expect.stringContaining("HTTP 500")]);
  expect(found(JSON.stringify(server.received.map(({ headers }) => headers)), CREDENTIALS)).toEqual(
    expect.arrayContaining(["client-authorization", "config-authorization"]),
  );
  expect(leaks([...lines, text, said].join("\n"))).toEqual([]);
});

const SERVER = "servers: { a: { upstream: { url: http://127.0.0.1:1/ } } }";
const MARK = CREDENTIALS["store-password"];

test.each([
  ["a store that is not there", `store: { url: "redis://joe:${MARK}@127.0.0.1:1" }\n${SERVER}`],
  ["a store that is none", `store: { url: "redis://joe:${MARK}@" }\n${SERVER}`],
  ["a key that is none", `store: { encryptionKeys: ["${MARK}"] }\n${SERVER}`],
  ["a url with a password", `servers: { a: { upstream: { url: "http://joe:${MARK}@127.0.0.1/" } } }`],
  ["a url of another kind", `servers: { a: { upstream: { url: "ftp://joe:${MARK}@a/?${MARK}" } } }`],
  [
    "a header that is none",
    `servers: { a: { upstream: { url: "http://a", headers: { authorization: "${MARK}\\n" } } } }`,
  ],
  [
    "an environment that is none",
    `servers: { a: { upstream: { command: x, env: { TOKEN: ["${MARK}"] } } } }`,
  ],
  ["what is no YAML", `store: { url: "redis://joe:${MARK}@h" \n  x: ]\n${SERVER}`],
])("a gateway that does not start repeats nothing: %s", async (_, text) => {
  const file = await fileWith("taskgate.yaml", text);
  const { code, stdout, stderr } = await run(["--config", file], { PATH: process.env.PATH ?? "" });
  expect(code).not.toBe(0);
  expect(stderr).not.toBe("");
  expect(leaks(stdout + stderr)).toEqual([]);
});
