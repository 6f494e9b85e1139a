/**
 * Installs the peers of this folder when they are missing or their lock file changed since. Run before the tests;
 * prints one line when it did something and exits with 1 when it could not.
 */

import { installFolder } from "./npm-ci.ts";

if (!installFolder(import.meta.dirname)) {
  console.error("Without test/peers the tests with foreign programs cannot run.");
  process.exitCode = 1;
}
