// Does not start until there is a file at its second argument; writes a character to the file of its first each time that it
// is started.
import { appendFileSync, existsSync } from "node:fs";
import { serve } from "./server.mjs";

const [, , starts, remedy] = process.argv;
appendFileSync(starts, ".");
if (!existsSync(remedy)) {
  process.stderr.write("the disk is not mounted\n");
  process.exit(1);
}
serve({ echo: ({ text }) => text });
