import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { run } from "../cli/process.ts";
import { draining } from "../support/draining.ts";
import { story, textResult } from "../support/story.ts";

test("health says whether a gateway serves, at its own port and at its admin listener", async () => {
  const { url, server, user, gateway } = await story(
    { "tools/call": () => undefined },
    { admin: true, policy: { mode: "always" }, limits: { drainTimeoutMs: 60_000 } },
  );
  const main = new URL("/", url);
  const admin = new URL("/health/ready", gateway.adminUrl);
  const health = (address: URL | string) => run(["health", String(address)]);
  expect(await health(main)).toEqual({ code: 0, stdout: "ready\n", stderr: "" });
  expect(await health(main.host)).toEqual({ code: 0, stdout: "ready\n", stderr: "" });
  expect(await health(admin)).toEqual({ code: 0, stdout: "ready\n", stderr: "" });
  // A page of the gateway's, and none about health.
  expect(await health(url)).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/no gateway/),
  });

  await user.callTool("t");
  const call = await server.arrival("tools/call");
  const closed = gateway.close();
  await draining(user);
  const stopping = { code: 1, stdout: "", stderr: "error: stopping\n" };
  expect(await Promise.all([health(main), health(admin)])).toEqual([stopping, stopping]);
  call.json(textResult("done"));
  await closed;
  const gone = await health(main);
  expect(gone).toMatchObject({ code: 3, stdout: "" });
  expect(gone.stderr).toBe(`error: nobody answers at ${main.origin} (ECONNREFUSED)\n`);
});

test.each<[string, RequestListener, { code: number; stderr: RegExp }]>([
  [
    "answers with a page",
    (_, response) => void response.end("<p>Welcome"),
    { code: 1, stderr: /^error: HTTP 200 at http:\/\/127\.0\.0\.1:\d+\/-\/health: no gateway/ },
  ],
  [
    "leads elsewhere",
    (_, response) => void response.writeHead(302, { location: "/-/health?again" }).end(),
    { code: 1, stderr: /^error: HTTP 302 at / },
  ],
  [
    "is ready, with an error",
    (_, response) => void response.writeHead(500).end('{"status":"ready"}'),
    { code: 1, stderr: /^error: HTTP 500 at / },
  ],
  [
    "never ends its answer",
    (_, response) => void response.writeHead(200).write('{"status":'),
    { code: 3, stderr: /^error: nobody answers at http:\/\/127\.0\.0\.1:\d+ \(.*timeout.*\)$/m },
  ],
  [
    "goes on and on",
    (_, response) => {
      const more = () => response.write("x".repeat(1_000), () => response.destroyed || more());
      more();
    },
    { code: 1, stderr: /^error: HTTP 200 at / },
  ],
])("a server that %s is no gateway that serves", async (_, answer, expected) => {
  const server = createServer(answer).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close().closeAllConnections());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { code, stdout, stderr } = await run(["health", `127.0.0.1:${port}`]);
  expect([code, stdout]).toEqual([expected.code, ""]);
  expect(stderr).toMatch(expected.stderr);
});

test.each([["ftp://127.0.0.1/"], ["http://"], ["http://ada:a-secret@127.0.0.1:8080"]])(
  "%s is no address of a gateway",
  async (address) => {
    const { code, stdout, stderr } = await run(["health", address]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(
      /^error: give the address of a gateway, such as http:\/\/127\.0\.0\.1:8080; http or https, without a user or password$/m,
    );
    expect(stderr).not.toContain("a-secret");
  },
);
