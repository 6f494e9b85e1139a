/** A `level:` store whose process has no file descriptor left is away, and there again once it has some. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

test.skipIf(!existsSync("/proc/self/limits"))(
  "without a file descriptor the store is away, and all is there once there are some",
  { timeout: 120_000 },
  async () => {
    const path = await mkdtemp(join(tmpdir(), "taskgate-descriptors-"));
    onTestFinished(() => rm(path, { recursive: true, force: true }));
    const program = join(import.meta.dirname, "descriptor-writer.ts");
    const node = [process.execPath, "--import", import.meta.resolve("tsx"), program, join(path, "data")];
    const child = spawn("sh", ["-c", 'ulimit -n 100 && exec "$@"', "sh", ...node], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    const [code] = await once(child, "close");
    const steps = said.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Step]));
    const found = Object.fromEntries(steps.map(({ step, ...what }) => [step, what]));

    expect(code).toBe(0);
    expect(found["no descriptor"]).toMatchObject({ lost: 0, isWritable: true });
    expect(found["no descriptor"]?.away).toBeGreaterThan(0);
    expect(found.descriptors).toEqual({ there: 40, away: 0, lost: 0 });
    expect(found["no log"]).toEqual({ isAway: true, isWritable: false });
    expect(found.again).toMatchObject({ away: 0, lost: 0, there: found.again?.expected });
    expect(found.again?.warnings).toBeGreaterThanOrEqual(2);
  },
);

type Step = { readonly step: string } & Readonly<Record<string, number | boolean>>;
