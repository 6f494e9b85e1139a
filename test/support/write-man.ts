/** Writes config/mcp-taskgate.1 from the build: `npm run build && npx tsx test/support/write-man.ts`. */

import { writeFileSync } from "node:fs";
import { manPage, manText } from "./man-page.ts";

writeFileSync(manPage, await manText());
