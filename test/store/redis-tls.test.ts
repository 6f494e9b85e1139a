import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openStore } from "../../src/store/open.ts";
import type { StoreTls } from "../../src/store/options.ts";
import type { RedisServer } from "../support/redis.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { openRedis } from "./redis-stores.ts";
import { completed, newTask } from "./samples.ts";

const run = promisify(execFile);
const missing = withoutRedis("Redis over TLS", "openssl");

describe.skipIf(missing)("Redis over TLS, with certificates of one's own", () => {
  let folder: string;
  let server: RedisServer;
  let url: string;
  const pem = (name: string) => readFile(join(folder, name), "utf8");

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "taskgate-tls-"));
    for (const name of ["ours", "theirs"]) await makeAuthority(folder, name);
    await makeCertificate(folder, "server", "subjectAltName=DNS:redis.internal,DNS:localhost");
    await makeCertificate(folder, "client", "keyUsage=digitalSignature");
    server = await redisForTest({
      atEnd: () => {},
      settings: {
        "tls-ca-cert-file": join(folder, "ours.crt"),
        "tls-cert-file": join(folder, "server.crt"),
        "tls-key-file": join(folder, "server.key"),
      },
      portSetting: "tls-port",
    });
    url = `rediss://localhost:${server.port}`;
  });

  afterAll(async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const trusted = async (more: StoreTls = {}): Promise<StoreTls> => ({
    ca: await pem("ours.crt"),
    cert: await pem("client.crt"),
    key: await pem("client.key"),
    ...more,
  });

  test("works with the authority and a certificate that the server asks for, also after it was away", async () => {
    const store = await openRedis(url, { tls: await trusted() });
    const task = await store.create(newTask());
    const outcome = await store.end(task, completed("done"));

    await server.kill();
    await expect(store.read(task.id)).rejects.toThrow(`store ${url}: could not read`);
    await server.restart();

    await expect.poll(() => store.read(task.id), { timeout: 60_000 }).toMatchObject({ outcome });
  });

  test("a name that the certificate is for, and one that it is not for", async () => {
    const byAddress = `rediss://127.0.0.1:${server.port}`;
    const store = await openRedis(byAddress, { tls: await trusted({ servername: "redis.internal" }) });
    await store.create(newTask());

    await expect(openStore(url, { tls: await trusted({ servername: "other.internal" }) })).rejects.toThrow(
      /: its certificate is not trusted \(Hostname\/IP does not match certificate/,
    );
  });

  test("another authority, or none, is refused", async () => {
    const refusal = new RegExp(`^store ${url}: its certificate is not trusted \\(`);

    await expect(openStore(url, { tls: await trusted({ ca: await pem("theirs.crt") }) })).rejects.toThrow(
      refusal,
    );
    await expect(openStore(url)).rejects.toThrow(refusal);
  });

  test("without a certificate, or without TLS, the server hangs up", async () => {
    await expect(openStore(url, { tls: { ca: await pem("ours.crt") } })).rejects.toThrow(`store ${url}: `);
    await expect(openStore(url.replace("rediss", "redis"))).rejects.toThrow(
      /it hangs up .* want TLS, which is rediss:$/,
    );
  });
});

async function makeAuthority(folder: string, name: string): Promise<void> {
  const args = ["req", "-x509", ...newKey(name), "-out", `${name}.crt`, "-days", "2", "-subj", `/CN=${name}`];
  await run("openssl", args, { cwd: folder });
}

/** Signed by our authority. */
async function makeCertificate(folder: string, name: string, extension: string): Promise<void> {
  await run("openssl", ["req", "-new", ...newKey(name), "-out", `${name}.csr`, "-subj", `/CN=${name}`], {
    cwd: folder,
  });
  await writeFile(join(folder, `${name}.ext`), extension);
  const authority = ["-CA", "ours.crt", "-CAkey", "ours.key", "-CAcreateserial", "-days", "2"];
  const args = [
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    ...authority,
    "-out",
    `${name}.crt`,
    "-extfile",
    `${name}.ext`,
  ];
  await run("openssl", args, { cwd: folder });
}

function newKey(name: string): string[] {
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  return [...kind, "-keyout", `${name}.key`];
}
