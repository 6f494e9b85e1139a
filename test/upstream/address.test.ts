import { expect, onTestFinished, test, vi } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { addressOf } from "../../src/upstream/address.ts";

const SECRET = "a-key-of-the-tests";
/** As the configuration refers to it. */
const KEY = `\${TENANT_KEY}`;

test("an address is shown without query, and without what variables and headers put into it", () => {
  vi.stubEnv("TENANT_KEY", SECRET);
  onTestFinished(() => void vi.unstubAllEnvs());
  const servers = {
    remote: { upstream: { url: `http://tools.example/${KEY}/mcp?key=${KEY}` } },
    headed: { upstream: { url: "http://tools.example/in-a-header", headers: { "x-key": "in-a-header" } } },
    local: {
      upstream: {
        command: "serve",
        args: ["--key", KEY, `--token=own-${KEY}`, "two words"],
      },
    },
    own: { upstream: { command: "serve", args: ["in-its-variables"], env: { KEY: "in-its-variables" } } },
  };
  const { config } = parseConfig(JSON.stringify({ servers }), process.env);
  expect(config.servers.map(({ upstream }) => addressOf(upstream))).toEqual([
    "http://tools.example/…/mcp",
    "http://tools.example/…",
    'serve --key … --token=own-… "two words"',
    "serve …",
  ]);
});
