import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A new directory, gone when the test ends. */
export async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "taskgate-store-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}
