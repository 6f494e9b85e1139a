/**
 * Puts the tables of settings into docs/configuration.md and the settings into the schema of the chart's values, and writes
 * config/taskgate.schema.json: `npx tsx test/support/write-settings.ts`.
 */

import { writeFileSync } from "node:fs";
import {
  configurationManual,
  manual,
  schemaFile,
  schemaText,
  valuesSchema,
  valuesSchemaFile,
} from "./settings-block.ts";

writeFileSync(configurationManual, manual().expected);
writeFileSync(schemaFile, schemaText());
writeFileSync(valuesSchemaFile, valuesSchema().expected);
