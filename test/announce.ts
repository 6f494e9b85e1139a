/** The first line of `npm test`, before anything is built: what is going to happen, and how long it takes. */

import { existsSync, readdirSync } from "node:fs";

const files = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" }).filter(
  (name) => name.endsWith(".test.ts") && !/node_modules|^slow/.test(name),
);
const isFirst = !existsSync(`${import.meta.dirname}/peers/node_modules`);
console.log(
  `npm test: builds, then runs some ${Math.round(files.length / 10) * 10} test files: some ten minutes on two cores, twice that on a busy machine.`,
);
if (isFirst)
  console.log(
    "Before that, this once, other people's servers and clients are installed: 600 MB from the npm registry.",
  );
