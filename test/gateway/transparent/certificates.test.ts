/** Servers behind TLS, and whom the proxy believes. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Certificate, selfSigned } from "./certificate.ts";
import { ask } from "./clients.ts";
import { proxyFront } from "./fronts.ts";
import { listening } from "./origins.ts";
import { startProxyProgram } from "./programs.ts";

test("a server that nobody vouches for gets nothing", async () => {
  const { url, requests } = await startSecure(selfSigned());
  const front = await proxyFront(url);
  expect((await ask(front.url)).status).toBe(502);
  expect(front.rejections).toMatchObject([
    { name: "UpstreamFailure", cause: { code: "DEPTH_ZERO_SELF_SIGNED_CERT" } },
  ]);
  expect(requests).toEqual([]);
});

test("a server that node was told to believe is asked", async () => {
  const certificate = selfSigned();
  const { url, requests } = await startSecure(certificate);
  const directory = await mkdtemp(join(tmpdir(), "taskgate-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, "authority.pem");
  await writeFile(file, certificate.cert);
  const proxied = await startProxyProgram("proxied", url, { env: { NODE_EXTRA_CA_CERTS: file } });
  for (const path of ["/one", "/two"])
    expect((await ask(proxied.url, { path })).body.toString()).toBe("safe");
  expect(requests).toEqual(["/one", "/two"]);
});

async function startSecure(
  certificate: Certificate,
): Promise<{ url: URL; requests: (string | undefined)[] }> {
  const requests: (string | undefined)[] = [];
  const server = createServer({ ...certificate }, (request, response) => {
    requests.push(request.url);
    response.end("safe");
  });
  const { port } = await listening(server);
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: new URL(`https://127.0.0.1:${port}/`), requests };
}
