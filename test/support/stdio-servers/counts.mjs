// Writes down each call that it begins, with its process, in the file of its first argument, and takes a moment for it.
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "./server.mjs";

serve({
  echo: async ({ token, ms }) => {
    appendFileSync(process.argv[2], `${token} ${process.pid}\n`);
    await sleep(ms);
    return token;
  },
});
