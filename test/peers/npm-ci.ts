import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { relative } from "node:path";

/**
 * Installs what the lock file of a folder names, unless that has been done since it changed, and says so in a line.
 * Gives whether it is there; if not, what npm said has been printed.
 */
export function installFolder(folder: string): boolean {
  const name = relative(process.cwd(), folder);
  const stamp = `${folder}/node_modules/.installed`;
  const wanted = createHash("sha256")
    .update(readFileSync(`${folder}/package-lock.json`))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return true;

  const startedAt = Date.now();
  // Said on the command line, because npm hands the settings of the project it runs in to its scripts by environment
  // variables, and those would win over the .npmrc of the folder.
  const settings = ["--prefix", folder, "--engine-strict=false", "--loglevel=error"];
  const npm = spawnSync("npm", ["ci", ...settings], {
    cwd: folder,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  if (npm.status !== 0) {
    console.error(`${name}: npm ci failed\n\n${npm.error?.message ?? `${npm.stdout}${npm.stderr}`}`);
    return false;
  }
  writeFileSync(stamp, wanted);
  console.log(`${name}: installed in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
  return true;
}
