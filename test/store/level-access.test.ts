/** What is said of a directory that the gateway's user may not use: whose it is, and what to do. Nothing of it is called damaged. */

import { spawnSync } from "node:child_process";
import { chmod, chown, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { openStore } from "../../src/store/open.ts";
import { smallDisk, withoutSmallDisk } from "../support/small-disk.ts";
import { newTask } from "./samples.ts";

const OTHER = 65_532;

/** Whether this process can be another user for a while, which takes root; a disk that can be read only takes that as well. */
const isSkipped = withoutSmallDisk("Directories of other users");

describe.skipIf(isSkipped)("a directory of a level: store", () => {
  test.each<[string, (path: string) => Promise<unknown>, (path: string) => string]>([
    [
      "that is another user's",
      (path) => chmod(path, 0o755),
      (path) =>
        `user ${OTHER} may not read and write ${path}, which belongs to user 0 (mode 755); give all of ${path} to user ${OTHER} (chown -R ${OTHER} ${path}), or run as user 0`,
    ],
    [
      "whose files are another user's",
      (path) => chown(path, OTHER, OTHER),
      (path) =>
        `user ${OTHER} may not read and write ${join(path, "000003.log")}, which belongs to user 0 (mode 600); give all of ${path} to user ${OTHER} (chown -R ${OTHER} ${path}), or run as user 0`,
    ],
    [
      "that its owner made read-only",
      async (path) => {
        for (const name of await readdir(path)) await chown(join(path, name), OTHER, OTHER);
        await chown(path, OTHER, OTHER);
        await chmod(path, 0o500);
      },
      (path) =>
        `user ${OTHER} may not read and write ${path}, which belongs to user ${OTHER} (mode 500); allow it that (chmod -R u+rwX ${path})`,
    ],
  ])("%s is refused with what to do, by the gateway and by store check", async (_, spoil, sentence) => {
    const path = await usedDirectory();
    await spoil(path);
    const message = sentence(path);
    expect(asOther(path)).toEqual([`store level:${path}: ${message}`, message]);
    // Nothing was changed, so that its owner can go on with it.
    const store = await openStore(`level:${path}`);
    await store.close();
  });

  test("that cannot be made is refused with what to do", async () => {
    const parent = await directory();
    const path = join(parent, "data");
    expect(asOther(path)[0]).toBe(
      `store level:${path}: user ${OTHER} may not create ${path}; create it and give it to user ${OTHER}, or choose another directory`,
    );
  });

  test.each(["", "new"])("on a read-only file system is refused: data/%s", async (folder) => {
    const { path: disk } = await smallDisk();
    const used = await openStore(`level:${disk}`);
    await used.close();
    expect(spawnSync("mount", ["-o", "remount,ro", disk]).status).toBe(0);
    const path = join(disk, folder);
    await expect(openStore(`level:${path}`)).rejects.toThrow(
      new Error(
        `store level:${path}: on a read-only file system; tasks need a directory that can be written, such as a volume`,
      ),
    );
  });
});

/** A directory that a gateway of this user has used. */
async function usedDirectory(): Promise<string> {
  const path = await directory();
  const store = await openStore(`level:${path}`);
  await store.create(newTask());
  await store.close();
  return path;
}

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "taskgate-access-"));
  onTestFinished(() => rm(path, { recursive: true }));
  return path;
}

/** What the other user is told who opens the store, and who checks it. */
function asOther(path: string): readonly string[] {
  const script = fileURLToPath(new URL("other-user.ts", import.meta.url));
  const args = ["--import", import.meta.resolve("tsx"), script, String(OTHER), path];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout.trimEnd().split("\n");
}
