/** The front for programs that have streams of their own. */

import { once } from "node:events";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { serveStdio } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { configFor } from "../support/gateway.ts";
import { script } from "../support/stdio-servers/scripts.ts";

const log = createLog("silent");

test("a program serves a client over any two streams, and learns that it has gone", async () => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const gateway = await serveStdio(configFor({ upstream: script("odd-tools") }), { input, output, log });
  input.write('{"jsonrpc":"2.0","id":1,"method":"ping"}\n');
  const [line] = await once(output, "data");
  expect(JSON.parse(String(line))).toEqual({ jsonrpc: "2.0", id: 1, result: {} });

  input.end();
  await gateway.clientLeft;
  await gateway.close();
  expect(output.writable).toBe(true);
});

test("serveStdio refuses a configuration with more than one server", async () => {
  const config = configFor({ upstream: new URL("http://127.0.0.1:1/mcp") });
  const servers = [...config.servers, ...config.servers];
  const streams = { input: new PassThrough(), output: new PassThrough() };
  await expect(serveStdio({ ...config, servers }, { ...streams, log })).rejects.toThrow(
    "stdio stands in front of one server, got 2",
  );
});
