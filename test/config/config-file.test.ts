import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ConfigFile } from "../../src/config/config-file.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Conditions } from "../support/conditions.ts";

const TEXT = "servers: { a: { upstream: { url: 'http://a/mcp' } } }\n";

/** A file that is watched, and how often it was found to be another one. It is read as soon as it is. */
async function watched() {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-file-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "taskgate.yaml");
  await writeFile(path, TEXT);
  const file = new ConfigFile(path, () => loadConfig(path, {}));
  await file.read();
  let changes = 0;
  const told = new Conditions(() => `it changed ${changes} times`);
  const changed = () => {
    void file.read().catch(() => {});
    changes += 1;
    told.check();
  };
  const stop = file.watch(changed, { lookMs: 300 });
  onTestFinished(stop);
  return {
    folder,
    path,
    file,
    changes: () => changes,
    changed: (times: number) => told.found(() => changes >= times || undefined, `${times} changes`),
  };
}

test("several events are one change, and those of other files none", async () => {
  const { folder, path, changed, changes } = await watched();
  for (let n = 0; n < 20; n += 1) {
    await writeFile(join(folder, `other-${n}`), "");
    await writeFile(path, `${TEXT}# ${n}\n`);
  }
  await changed(1);
  await writeFile(join(folder, "last"), "");
  await writeFile(`${path}.new`, TEXT);
  await rename(`${path}.new`, path);
  await changed(2);
  expect(changes()).toBeLessThan(10);
});

test("a file that is gone has changed, and again when it is back", async () => {
  const { path, changed, file } = await watched();
  await rm(path);
  await changed(1);
  await expect(file.read()).rejects.toThrow(/cannot be read: ENOENT/);
  await writeFile(path, TEXT);
  await changed(2);
});

test("a folder that is another one is watched from then on", async () => {
  const { folder, path, changed } = await watched();
  await rename(folder, `${folder}.old`);
  onTestFinished(() => rm(`${folder}.old`, { recursive: true }));
  await rename(await mkdtemp(`${folder}.new`), folder);
  await writeFile(path, `${TEXT}# another\n`);
  await changed(1);
  await writeFile(path, `${TEXT}# and another\n`);
  await changed(2);
});
