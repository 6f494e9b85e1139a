import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/server/validators/ajv";
import { describe, expect, onTestFinished, test } from "vitest";
import { jsonSchema } from "../../src/config/json-schema.ts";
import { loadConfig, loadSource } from "../../src/config/load.ts";
import { withoutPrograms } from "../support/required-programs.ts";

const folder = fileURLToPath(new URL("../../config/systemd/", import.meta.url));
const unit = join(folder, "mcp-taskgate.service");
const file = join(folder, "taskgate.yaml");
const KEY = Buffer.alloc(32, 7).toString("base64");
/** What the exposure that systemd counts may be at most, of 10 (systemd-analyze(1)). In CI as well. */
const MAX_EXPOSURE = 2;

/** The values of a setting of the unit. */
function valuesOf(setting: string): readonly string[] {
  const lines = readFileSync(unit, "utf8").split("\n");
  return lines.filter((line) => line.startsWith(`${setting}=`)).map((line) => line.slice(setting.length + 1));
}

test("the file of the unit is one that serves, with the credentials that the unit loads and no others", async () => {
  const credentials = valuesOf("LoadCredential").map((value) => value.split(":")[0] ?? "");
  const named = [...readFileSync(file, "utf8").matchAll(/\$\{file:([^}]+)\}/g)].map(([, name]) => name);
  expect([...credentials].sort()).toEqual([...named].sort());
  const directory = mkdtempSync(join(tmpdir(), "taskgate-credentials-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  for (const name of credentials)
    writeFileSync(join(directory, name), `${name === "store-key" ? KEY : `the-text-of-${name}`}\n`);
  const { config, warnings } = await loadConfig(file, { CREDENTIALS_DIRECTORY: directory });
  expect(warnings).toEqual([]);
  expect(config.servers[0]?.upstream).toMatchObject({
    headers: { authorization: "Bearer the-text-of-reports-key" },
  });
  expect(config.admin?.token).toBe("the-text-of-admin-token");
  const validate = new AjvJsonSchemaValidator().getValidator(jsonSchema());
  expect(validate((await loadSource(file)).document)).toMatchObject({ valid: true });
  // Longer than the gateway takes, so that systemd does not kill it while it waits for calls.
  expect(valuesOf("TimeoutStopSec")).toEqual([`${config.limits.drainTimeoutMs / 1_000 + 10}s`]);
  const [state = ""] = valuesOf("StateDirectory");
  expect(config.store.url).toMatch(new RegExp(`^level:/var/lib/${state}/`));
});

test("without the credentials the gateway says which file is missing, and where it is named", async () => {
  await expect(loadConfig(file, {})).rejects.toThrow(
    /admin\.token[\s\S]*file:admin-token is a systemd credential[\s\S]*store\.encryptionKeys/,
  );
});

test("what V8 needs is not denied", () => {
  expect(valuesOf("MemoryDenyWriteExecute")).toEqual([]);
});

describe.skipIf(withoutPrograms("the unit of systemd", "systemd-analyze"))("systemd", () => {
  const analyze = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
    return { status, said: `${stdout}${stderr}`.trim() };
  };

  test("finds nothing wrong with the unit", () => {
    expect(analyze("verify", "--man=no", unit)).toEqual({ status: 0, said: "" });
  });

  test("would find a misspelt setting", () => {
    const directory = mkdtempSync(join(tmpdir(), "taskgate-unit-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const wrong = join(directory, "mcp-taskgate.service");
    writeFileSync(wrong, readFileSync(unit, "utf8").replace("DynamicUser=", "DynamicUsers="));
    expect(analyze("verify", "--man=no", wrong).said).toContain("DynamicUsers");
  });

  test("counts an exposure of 2 at most", () => {
    const { status, said } = analyze(
      "security",
      "--offline=yes",
      // In tenths of what it prints.
      `--threshold=${10 * MAX_EXPOSURE}`,
      unit,
    );
    expect(said).toMatch(/Overall exposure level for mcp-taskgate\.service: [01]\.\d/);
    expect(status).toBe(0);
  });
});
