/** The path at which the main port says whether the gateway is ready, and what probes of the wrong port are told. */

import { expect, test } from "vitest";
import { createLog } from "../../src/log/log.ts";
import { ask } from "../gateway/transparent/clients.ts";
import { fronted } from "./fronted.ts";

const ONE = { "/a/mcp": "/mcp" };
const READY = '{"status":"ready"}';
const TWO = { "/a/mcp": "/mcp", "/b/mcp": "/mcp" };

test("the ready path hides a server's own only at the top, and only from GET, HEAD and OPTIONS", async () => {
  const { url, reached } = await fronted({ routes: ONE });
  const { status, body } = await ask(url, { path: "/-/health" });
  expect([status, String(body)]).toEqual([200, READY]);
  expect(reached()).toEqual([]);
  await ask(url, { path: "/-/health?deep" });
  await ask(url, { path: "/-/health/" });
  await ask(url, { path: "/a/mcp/-/health" });
  await ask(url, { path: "/-/health", method: "PUT" });
  expect(reached().map(({ url: path }) => path)).toEqual([
    "/-/health?deep",
    "/-/health/",
    "/-/health",
    "/-/health",
  ]);
});

test("it can be another, or none", async () => {
  const elsewhere = await fronted({ routes: ONE, listen: { readyPath: "/up" } });
  expect(String((await ask(elsewhere.url, { path: "/up" })).body)).toBe(READY);
  await ask(elsewhere.url, { path: "/-/health" });
  expect(elsewhere.reached().map(({ url: path }) => path)).toEqual(["/-/health"]);

  const nowhere = await fronted({ routes: ONE, listen: { readyPath: undefined } });
  await ask(nowhere.url, { path: "/-/health" });
  expect(nowhere.reached().map(({ url: path }) => path)).toEqual(["/-/health"]);
});

test.for(["/health/live", "/health/ready", "/metrics"])(
  "%s of the main port names the listener that has it, and the operator hears of it once",
  async (path) => {
    const lines: string[] = [];
    const { url } = await fronted({
      routes: TWO,
      logger: createLog("info", { write: (line) => void lines.push(line) }),
    });
    for (let n = 0; n < 3; n += 1) {
      const { status, body } = await ask(url, { path });
      expect(status).toBe(404);
      expect(JSON.parse(String(body))).toMatchObject({
        hint: `${path} is on the admin listener (admin.port); on this port /-/health says whether the gateway is ready (listen.readyPath)`,
        endpoints: ["/a/mcp", "/b/mcp"],
      });
    }
    expect(lines.filter((line) => line.includes("wrong port"))).toHaveLength(1);
  },
);
