/** Runs a script with the Node 24 of the peers: `tsx test/peers/with-node24.ts script.mjs [arguments]`. */

import { spawnSync } from "node:child_process";
import { node24 } from "./peers.ts";

const { status, error } = spawnSync(node24(), process.argv.slice(2), { stdio: "inherit" });
if (error) throw error;
process.exitCode = status ?? 1;
