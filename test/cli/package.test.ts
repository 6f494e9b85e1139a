/** The package as it is packed: what it leaves out fails only where somebody installs it. */

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);
let installed: string;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-package-"));
  const packing = ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder];
  const { stdout } = await run("npm", packing, { cwd: ROOT });
  const modules = join(folder, "node_modules");
  await mkdir(modules);
  await run("tar", ["-xzf", join(folder, stdout.trim()), "-C", modules]);
  installed = join(modules, "package");
  // What it depends on is what this checkout has.
  await symlink(join(ROOT, "node_modules"), join(installed, "node_modules"));
  return () => rm(folder, { recursive: true });
});

const command = (...args: readonly string[]) =>
  run(process.execPath, [join(installed, "dist/cli.js"), ...args]);

test("the packed command runs, and knows its version", async () => {
  const { default: manifest } = await import(join(installed, "package.json"), { with: { type: "json" } });
  expect((await command("--version")).stdout.trim()).toBe(manifest.version);
});

test("the packed command finds a fault in a file, and none in an example that is packed", async () => {
  expect((await command("check", join(installed, "config/development.yaml"))).stdout).not.toMatch(/error/);
  await expect(command("check", join(installed, "package.json"))).rejects.toMatchObject({ code: 1 });
});

test("a program can import the packed library, and its types are there", async () => {
  const script =
    'import { taskgate, loadConfig } from "./dist/index.js"; console.log(typeof taskgate, typeof loadConfig)';
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: installed,
  });
  expect(stdout.trim()).toBe("function function");
  const { stdout: files } = await run("find", [".", "-name", "*.d.ts", "-path", "./dist/index*"], {
    cwd: installed,
  });
  expect(files.trim()).toBe("./dist/index.d.ts");
});

test("every folder that is to be packed is, and no test or source map", async () => {
  const { exports, files, bin } = (await import(join(installed, "package.json"), { with: { type: "json" } }))
    .default;
  expect(Object.keys(exports)).toContain(".");
  expect(bin).toEqual({ "mcp-taskgate": "./dist/cli.js" });
  const { stdout } = await run("find", [".", "-type", "f", "-not", "-path", "./node_modules/*"], {
    cwd: installed,
  });
  const packed = stdout.split("\n");
  for (const folder of files.filter((name: string) => !name.includes(".")))
    expect(
      packed.some((file) => file.startsWith(`./${folder}/`)),
      folder,
    ).toBe(true);
  expect(packed.filter((file) => /\.(test\.ts|map)$|\/test\//.test(file))).toEqual([]);
});
