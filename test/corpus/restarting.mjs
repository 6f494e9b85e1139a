/**
 * Runs a script with node, and again whenever it has ended, as a service manager does. Ends with what started it.
 * Arguments: the script and its own.
 */

import { spawn } from "node:child_process";

const MAX_STARTS = 20;
let starts = 0;
let child;

start();
process.once("SIGTERM", stop).once("disconnect", stop);

function start() {
  starts += 1;
  if (starts > MAX_STARTS) process.exit(1);
  child = spawn(process.execPath, process.argv.slice(2), { stdio: "inherit" });
  child.once("exit", start);
}

function stop() {
  child.removeListener("exit", start);
  child.once("exit", () => process.exit());
  child.kill("SIGKILL");
}
