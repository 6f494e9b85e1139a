/** Opens a store, then checks it, as another user: `other-user.ts USER PATH`. Prints what it was told, a line each. Takes root. */

import { runStore } from "../../src/store/embedded/command.ts";
import { openStore } from "../../src/store/open.ts";

const [user = "", path = ""] = process.argv.slice(2);
// Only now: what this program is made of may be its first user's alone.
process.setgid?.(Number(user));
process.setuid?.(Number(user));
await told(() => openStore(`level:${path}`));
await told(() => runStore("check", path, { input: process.stdin, output: process.stdout, say: console.log }));

async function told(work: () => Promise<unknown>): Promise<void> {
  console.log(
    await work().then(
      () => "nothing",
      (error: Error) => error.message,
    ),
  );
}
