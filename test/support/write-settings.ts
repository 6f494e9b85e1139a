/** Puts the tables of settings into docs/configuration.md: `npx tsx test/support/write-settings.ts`. */

import { writeFileSync } from "node:fs";
import { configurationManual, manual } from "./settings-block.ts";

writeFileSync(configurationManual, manual().expected);
