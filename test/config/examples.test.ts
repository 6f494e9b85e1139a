import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";

const directory = fileURLToPath(new URL("../../config/", import.meta.url));

/** What each example needs from the environment, and the servers it names with their paths. */
const examples: Readonly<Record<string, readonly [Record<string, string>, Record<string, string>]>> = {
  "development.yaml": [{}, { local: "/local/mcp" }],
  "identified.yaml": [{ TASKGATE_KEY: "0".repeat(64), REPORTS_TOKEN: "secret" }, { reports: "/reports/mcp" }],
  "kubernetes.yaml": [
    { PUBLIC_HOST: "tools.example.com", LOG_LEVEL: "info", REPORTS_TOKEN: "secret" },
    { reports: "/reports/mcp", "legacy-search": "/search/mcp" },
  ],
  "local-servers.yaml": [
    { NOTES_KEY: "secret" },
    { notes: "/notes/mcp", files: "/files/mcp", search: "/search/mcp" },
  ],
  "replicas.yaml": [
    { PUBLIC_HOST: "tools.example.com", REDIS_PASSWORD: "p%40ss", REPORTS_TOKEN: "secret" },
    { reports: "/reports/mcp" },
  ],
  "sidecar.yaml": [{ REPORTS_KEY: "secret" }, { reports: "/reports/mcp" }],
};

test("every example is tried here", () => {
  expect(readdirSync(directory).sort()).toEqual(Object.keys(examples));
});

test.each(Object.entries(examples))("%s is a file that serves", async (file, [env, paths]) => {
  const { config } = await loadConfig(`${directory}${file}`, env);
  expect(Object.fromEntries(config.servers.map(({ name, path }) => [name, path]))).toEqual(paths);
});
