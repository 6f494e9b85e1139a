/**
 * Installs the peers of this folder when they are missing or their lock file changed since. Run before the tests;
 * prints one line when it did something and exits with 1 when it could not.
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const folder = import.meta.dirname;
const stamp = `${folder}/node_modules/.installed`;
const wanted = createHash("sha256")
  .update(readFileSync(`${folder}/package-lock.json`))
  .digest("hex");

if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  const startedAt = Date.now();
  // Said on the command line, because npm hands the settings of the project it runs in to its scripts by environment
  // variables, and those would win over the .npmrc here.
  const settings = ["--prefix", folder, "--engine-strict=false", "--loglevel=error"];
  const npm = spawnSync("npm", ["ci", ...settings], {
    cwd: folder,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  if (npm.status === 0) {
    writeFileSync(stamp, wanted);
    console.log(`test/peers: installed in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
  } else {
    console.error(`test/peers: npm ci failed, and without it the tests with foreign programs cannot run\n`);
    console.error(npm.error?.message ?? `${npm.stdout}${npm.stderr}`);
    process.exitCode = 1;
  }
}
