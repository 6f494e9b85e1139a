import { fork } from "node:child_process";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { MUTATIONS } from "./mutations.ts";

const SEEDS = 2_000;
const MUTATION_SEEDS = 1_000;
/** Ten times what it takes on two cores that have nothing else to do. */
const TIMEOUT_MS = 900_000;

/** Timers and clocks of the simulation are those of a process of its own. */
function run(...args: string[]): Promise<{ readonly code: number | null; readonly lines: string[] }> {
  const child = fork(join(import.meta.dirname, "simulate.ts"), args, {
    execArgv: ["--import", import.meta.resolve("tsx")],
    silent: true,
  });
  onTestFinished(() => void child.kill());
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  return new Promise((resolve) =>
    child.once("close", (code) => resolve({ code, lines: text.split("\n").filter((line) => line !== "") })),
  );
}

test(`every promise is kept in ${SEEDS} simulations`, { timeout: TIMEOUT_MS }, async () => {
  const { code, lines } = await run("--seeds", String(SEEDS));
  expect(lines.filter((line) => line.startsWith("seed "))).toEqual([]);
  expect(lines.at(-1)).toMatch(new RegExp(`^${SEEDS} seeds, \\d+ events, 0 broken`));
  expect(code).toBe(0);
});

test("a simulation is the same again, step by step", async () => {
  const [first, second] = [await run("--seed", "7"), await run("--seed", "7")];
  expect(first.code).toBe(0);
  expect(first.lines.length).toBeGreaterThan(100);
  expect(second.lines).toEqual(first.lines);
});

test(`each of ${MUTATIONS.length} planted faults is noticed within ${MUTATION_SEEDS} simulations`, {
  timeout: TIMEOUT_MS,
}, async () => {
  expect(MUTATIONS.length).toBeGreaterThanOrEqual(12);
  const { code, lines } = await run("--mutations", "--seeds", String(MUTATION_SEEDS));
  for (const { name } of MUTATIONS)
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^noticed by seed \\d+: ${name} `)));
  expect(code).toBe(0);
});
