import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { LONGEST_TURN_MS, LOOP_PROBED } from "./loop-probe.ts";

/** Works for 200 ms of CPU time in one turn, or waits for 200 ms without any. */
const PROGRAM = `
  const work = () => { const from = process.cpuUsage(); while (process.cpuUsage(from).user < 200_000); };
  const wait = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  process.on("message", (question) => ({ work, wait })[question]?.());
  setInterval(() => {}, 60_000);
  process.send("ready");`;

test("a turn counts by its CPU time, and once", async () => {
  const child = spawn(process.execPath, [...LOOP_PROBED, "-e", PROGRAM], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child, "message");
  const longest = async () => {
    const answered = once(child, "message");
    child.send("longest");
    const [{ answer }] = await answered;
    return answer;
  };
  // The program's own beginning.
  await longest();
  child.send("wait");
  expect(await longest()).toBeLessThan(LONGEST_TURN_MS);
  child.send("work");
  expect(await longest()).toBeGreaterThan(100);
  expect(await longest()).toBeLessThan(LONGEST_TURN_MS);
});
