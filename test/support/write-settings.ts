/** Puts the table of settings into README.md: `npx tsx test/support/write-settings.ts`. */

import { writeFileSync } from "node:fs";
import { manual, readme } from "./settings-block.ts";

writeFileSync(readme, manual().expected);
