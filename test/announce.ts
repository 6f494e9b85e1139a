/** The first line of `npm test` and `npm run test:all`, before anything is built: what is going to happen, and how long it takes. */

import { existsSync } from "node:fs";
import { FOLDERS, needsNode24 } from "./peers/peers.ts";

const isShort = process.argv[2] !== "all";
const isMissing = (folder: string) => !existsSync(`${folder}/node_modules/.installed`);
const { conformance, node24, peers } = FOLDERS;

console.log(
  isShort
    ? "npm test: builds, then runs the short tests: some three minutes on two cores. npm run test:all runs all of them: a quarter of an hour."
    : "Builds, then runs all tests: a quarter of an hour on two cores, more on a busy machine.",
);
if (isMissing(conformance))
  console.log(
    "Before that, this once: installs the official conformance suite from the npm registry (50 MB).",
  );
if (isMissing(node24) && (needsNode24() || !isShort))
  console.log("Before that, this once: installs a Node 24 to run it, from the npm registry (190 MB).");
if (isMissing(peers) && !isShort)
  console.log(
    "Before that, this once: installs other people's servers and clients from the npm registry (400 MB).",
  );
