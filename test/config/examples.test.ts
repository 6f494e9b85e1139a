import { readdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/server/validators/ajv";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { jsonSchema } from "../../src/config/json-schema.ts";
import { loadConfig, loadSource, parseConfig } from "../../src/config/load.ts";

const directory = fileURLToPath(new URL("../../config/", import.meta.url));

/** What each example needs from the environment, and the servers it names with their paths. */
const examples: Readonly<Record<string, readonly [Record<string, string>, Record<string, string>]>> = {
  "container/taskgate.yaml": [{ REDIS_PASSWORD: "p%40ss" }, { everything: "/everything/mcp" }],
  "development.yaml": [{}, { local: "/local/mcp" }],
  "identified.yaml": [{ TASKGATE_KEY: "0".repeat(64), REPORTS_TOKEN: "secret" }, { reports: "/reports/mcp" }],
  "kubernetes/base/taskgate.yaml": [
    {
      PUBLIC_HOST: "tools.example.com",
      ADMIN_TOKEN: "t".repeat(16),
      LOG_LEVEL: "info",
      REPORTS_TOKEN: "secret",
    },
    { reports: "/reports/mcp", "legacy-search": "/search/mcp" },
  ],
  "kubernetes/overlays/replicas/taskgate.yaml": [
    {
      PUBLIC_HOST: "tools.example.com",
      ADMIN_TOKEN: "t".repeat(16),
      LOG_LEVEL: "info",
      REDIS_PASSWORD: "p%40ss",
      TASKGATE_KEY: "0".repeat(64),
    },
    { reports: "/reports/mcp" },
  ],
  "kubernetes/overlays/sidecar/taskgate.yaml": [{}, { reports: "/reports/mcp" }],
  "local-servers.yaml": [
    { NOTES_KEY: "secret" },
    { notes: "/notes/mcp", files: "/files/mcp", search: "/search/mcp" },
  ],
  "replicas.yaml": [
    {
      PUBLIC_HOST: "tools.example.com",
      ADMIN_TOKEN: "t".repeat(16),
      REDIS_PASSWORD: "p%40ss",
      REPORTS_TOKEN: "secret",
    },
    { reports: "/reports/mcp" },
  ],
  "sidecar.yaml": [{ REPORTS_KEY: "secret" }, { reports: "/reports/mcp" }],
};

test("every example is tried here", () => {
  const files = readdirSync(directory, { recursive: true, encoding: "utf8" });
  const names = files
    .filter((name) => /^[\w-]+\.yaml$|(^|\/)taskgate\.yaml$/.test(name.replaceAll("\\", "/")))
    // With the credentials of its unit, systemd.test.ts tries it.
    .filter((name) => !name.startsWith("systemd"));
  expect(names.sort()).toEqual(Object.keys(examples));
});

test.each(Object.entries(examples))("%s is a file that serves", async (file, [env, paths]) => {
  const { config } = await loadConfig(`${directory}${file}`, env);
  expect(Object.fromEntries(config.servers.map(({ name, path }) => [name, path]))).toEqual(paths);
});

const validate = new AjvJsonSchemaValidator().getValidator(jsonSchema());

test.each(Object.keys(examples))("an editor finds the schema of %s, and accepts it", async (file) => {
  const { document } = await loadSource(`${directory}${file}`);
  const [, schema = ""] =
    /^# yaml-language-server: \$schema=(\S+)\n/.exec(readFileSync(`${directory}${file}`, "utf8")) ?? [];
  const folder = dirname(`${directory}${file}`);
  expect(JSON.parse(readFileSync(`${folder}/${schema}`, "utf8"))).toEqual(jsonSchema());
  expect(validate(document)).toMatchObject({ valid: true });
});

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Every configuration that the front page and the manual show, as YAML. */
const blocks = ["README.md", ...readdirSync(`${root}docs`).map((name) => `docs/${name}`)]
  .filter((page) => page.endsWith(".md"))
  .flatMap((page) =>
    [...readFileSync(`${root}${page}`, "utf8").matchAll(/^```ya?ml\n([\s\S]*?)^```/gm)].map(
      ([, text = ""], n) => [`${page}, block ${n + 1}`, text] as const,
    ),
  );

/** What variables hold, by a part of their names. */
const VALUES = [
  ["KEY", "0".repeat(64)],
  ["WEBHOOK_SECRET", `whsec_${Buffer.alloc(32).toString("base64")}`],
] as const;

test("the manual shows files", () => {
  expect(blocks.length).toBeGreaterThan(0);
});

test.each(blocks)("%s is accepted by an editor and by the gateway", (_, text) => {
  const names = [...text.matchAll(/\$\{(\w+)\}/g)].map(([, name = ""]) => [
    name,
    VALUES.find(([part]) => name.includes(part))?.[1] ?? "x",
  ]);
  // What shows a few settings shows them of a whole file.
  const whole = /^servers:/m.test(text)
    ? text
    : `${text}\nservers: { a: { upstream: { url: "http://localhost/mcp" } } }`;
  expect(validate(parse(whole, { merge: true }))).toMatchObject({ valid: true });
  expect(() => parseConfig(whole, Object.fromEntries(names))).not.toThrow();
});
