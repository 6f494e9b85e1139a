/** What node says to http-proxy when it forwards its first request (DEP0060, from node 22 on). */

import { expect, test } from "vitest";
import { node24 } from "../../peers/peers.ts";
import { ask, head, open } from "./clients.ts";
import { startOrigin } from "./origins.ts";
import { startProxyProgram } from "./programs.ts";

const FLAGS = ["--throw-deprecation"];

test("bare: node 24 warns of it", async () => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const bare = await startProxyProgram("bare", origin.url, { node: node24(), flags: FLAGS });
  open(bare.url, head("GET"));
  expect(await bare.exited).toBe(1);
  expect(bare.stderr).toContain("DEP0060");
});

test.each([
  ["the node that runs the tests", undefined],
  ["node 24", node24],
])("the proxy: %s has nothing to say", async (_what, node) => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const proxied = await startProxyProgram("proxied", origin.url, {
    flags: FLAGS,
    ...(node && { node: node() }),
  });
  expect((await ask(proxied.url)).body.toString()).toBe("fine");
  expect(proxied.stderr).not.toContain("DeprecationWarning");
});
