/**
 * Installs other people's programs where they are missing or their lock file changed since: `tsx test/peers/install.ts` all of them,
 * `tsx test/peers/install.ts conformance` what the short run of the tests needs. Prints one line for each folder that it did something
 * about and exits with 1 when it could not.
 */

import { unpackPrograms } from "./kubernetes/unpack.ts";
import { installFolder } from "./npm-ci.ts";
import { FOLDERS, hasKubernetesPrograms, needsNode24 } from "./peers.ts";

const { conformance, kubernetes, node24, peers } = FOLDERS;
const isShort = process.argv[2] === "conformance";
const folders = isShort
  ? [conformance, ...(needsNode24() ? [node24] : [])]
  : [conformance, node24, peers, ...(hasKubernetesPrograms() ? [kubernetes] : [])];

for (const folder of folders) {
  if (installFolder(folder)) {
    if (folder === kubernetes) await unpackPrograms();
    continue;
  }
  console.error(`Without ${folder} the tests with other people's programs cannot run.`);
  process.exitCode = 1;
}
