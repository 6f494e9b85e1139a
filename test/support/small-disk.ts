/** A disk of a few megabytes that a test can fill: a tmpfs of its own, which takes root on Linux. */

import { spawnSync } from "node:child_process";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export interface SmallDisk {
  readonly path: string;
  /** Takes what room there is, to the last byte. */
  fill(): Promise<void>;
  /** Gives it back. */
  empty(): Promise<void>;
}

/** Whether tests that need a small disk have to be skipped. Says so loudly; in CI it is an error. */
export function withoutSmallDisk(what: string): boolean {
  const path = spawnSync("mktemp", ["-d"], { encoding: "utf8" }).stdout.trim();
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", path], {
    encoding: "utf8",
  });
  if (status === 0) spawnSync("umount", [path]);
  spawnSync("rmdir", [path]);
  if (status === 0) return false;
  const message = `${what}: not run, because no tmpfs can be mounted here (${stderr?.trim() || "no mount"}); it takes root on Linux`;
  if (process.env.CI) throw new Error(message);
  console.warn(message);
  return true;
}

/** Is gone when the test ends. */
export async function smallDisk(size = "12m"): Promise<SmallDisk> {
  const path = await mkdtemp(join(tmpdir(), "taskgate-disk-"));
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path]);
  if (status !== 0) throw new Error(`mount: ${stderr}`);
  onTestFinished(async () => {
    spawnSync("umount", ["-l", path]);
    await rm(path, { recursive: true, force: true });
  });
  const filling = join(path, "filling");
  return {
    path,
    fill: async () => {
      const file = await open(filling, "a");
      for (let bytes = 65_536; bytes >= 1; bytes = bytes === 1 ? 0 : Math.ceil(bytes / 16)) {
        while (
          await file.write(Buffer.alloc(bytes)).then(
            ({ bytesWritten }) => bytesWritten === bytes,
            () => false,
          )
        );
      }
      await file.close();
    },
    empty: () => rm(filling, { force: true }),
  };
}
