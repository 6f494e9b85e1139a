/** Puts the tables of settings into docs/configuration.md, and writes config/taskgate.schema.json: `npx tsx test/support/write-settings.ts`. */

import { writeFileSync } from "node:fs";
import { configurationManual, manual, schemaFile, schemaText } from "./settings-block.ts";

writeFileSync(configurationManual, manual().expected);
writeFileSync(schemaFile, schemaText());
