/** Writes the table of clients into the manual. */

import { writeFileSync } from "node:fs";
import { manual, PAGE } from "./clients-table.ts";

writeFileSync(PAGE, manual().expected);
