/** What the registry of MCP servers gets, against its schema of 2025-12-11 and its rules for packages of npm. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";
import { serveFlags, stdioFlags } from "../../src/config/flags.ts";

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"));
const server = read("config/server.json");
const npm = z
  .object({
    name: z.string(),
    version: z.string(),
    mcpName: z.string(),
    repository: z.object({ url: z.string() }),
  })
  .parse(read("package.json"));

/** The registry refuses ranges, and `latest`. */
const version = z
  .string()
  .max(255)
  .regex(/^\d+\.\d+\.\d+(?:-[\w.]+)?$/);

/** Strict: the schema allows other fields, so that it finds none that is misspelt. */
const input = {
  description: z.string().optional(),
  isRequired: z.boolean().optional(),
  isSecret: z.boolean().optional(),
  format: z.enum(["string", "number", "boolean", "filepath"]).optional(),
  value: z.string().optional(),
  default: z.string().optional(),
  placeholder: z.string().optional(),
  choices: z.array(z.string()).optional(),
  isRepeated: z.boolean().optional(),
};
const argument = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("named"), name: z.string().startsWith("--"), ...input }),
  z
    .strictObject({ type: z.literal("positional"), valueHint: z.string().optional(), ...input })
    .refine(({ value, valueHint }) => value !== undefined || valueHint !== undefined),
]);
const transport = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("stdio") }),
  z.strictObject({
    type: z.literal("streamable-http"),
    url: z.string().regex(/^(?:https?:\/\/[^\s]+|\{[a-zA-Z_]\w*\}[^\s]*)$/),
  }),
]);
const schema = z.strictObject({
  $schema: z.literal("https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"),
  name: z
    .string()
    .min(3)
    .max(200)
    .regex(/^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/),
  title: z.string().min(1).max(100),
  description: z.string().min(1).max(100),
  repository: z.strictObject({ url: z.url(), source: z.literal("github") }),
  websiteUrl: z.url(),
  version,
  packages: z.array(
    z.strictObject({
      registryType: z.literal("npm"),
      identifier: z.string(),
      version,
      runtimeHint: z.literal("npx"),
      transport,
      packageArguments: z.array(argument),
    }),
  ),
});

test("it is what the registry takes", () => {
  expect(schema.safeParse(server).error?.issues).toBeUndefined();
});

test.each([
  ["a misspelt field", { ...(server as object), descripton: "x" }],
  ["a description that is too long", { ...(server as object), description: "x".repeat(101) }],
  ["a range of versions", { ...(server as object), version: "^1.0.0" }],
  ["a name with two slashes", { ...(server as object), name: "io.github.a/b/c" }],
])("the check would find %s", (_, wrong) => {
  expect(schema.safeParse(wrong).success).toBe(false);
});

test("name and version are those of the package, as the registry demands", () => {
  const { name, version, packages, repository } = schema.parse(server);
  expect(name).toBe(npm.mcpName);
  expect([version, ...packages.map((each) => each.version)]).toEqual(
    [version, version, version].fill(npm.version),
  );
  expect(packages.map(({ identifier }) => identifier)).toEqual([npm.name, npm.name]);
  expect(npm.repository.url).toBe(`git+${repository.url}.git`);
});

test("every flag that it names is one of the command, and every variable of an address one of its flags", () => {
  for (const { packageArguments, transport } of schema.parse(server).packages) {
    const known = transport.type === "stdio" ? stdioFlags : serveFlags;
    const named = packageArguments.flatMap((each) => (each.type === "named" ? [each.name] : []));
    expect(named.filter((name) => !Object.hasOwn(known, name.slice(2)))).toEqual([]);
    const variables = transport.type === "stdio" ? [] : [...transport.url.matchAll(/\{([^}]+)\}/g)];
    expect(variables.filter(([, name = ""]) => !named.includes(name))).toEqual([]);
    const words = packageArguments.flatMap((each) => (each.type === "positional" ? [each.value] : []));
    expect(words).toEqual(transport.type === "stdio" ? ["stdio"] : []);
  }
});
