import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, open, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { toJson } from "../../src/protocol/jsonrpc.ts";
import { openStore } from "../../src/store/open.ts";
import type { Outcome, TaskId } from "../../src/store/task-store.ts";
import { newTask } from "../store/samples.ts";
import { COMMAND } from "./process.ts";

const FINISHED = 100;
const UNFINISHED = 3;

/** A store with finished and unfinished tasks, in tables and in a log, that nobody uses any more. */
async function used() {
  const path = await mkdtemp(join(tmpdir(), "taskgate-rescue-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  const store = await openStore(`level:${path}`);
  const outcomes = new Map<TaskId, Outcome>();
  const finish = async (n: number) => {
    const task = await store.create(newTask());
    const text = randomBytes(45_000).toString("base64");
    const outcome: Outcome = { kind: "completed", endedAt: Date.now(), result: toJson({ n, text }) };
    outcomes.set(task.id, await store.end(task, outcome));
  };
  for (let n = 0; n < FINISHED; n += 10)
    await Promise.all(Array.from({ length: 10 }, (_, more) => finish(n + more)));
  const open = await Promise.all(Array.from({ length: UNFINISHED }, () => store.create(newTask())));
  await store.close();
  return { path, outcomes, unfinished: open.map(({ id }) => id) };
}

function command(action: string, path: string, input = "") {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...COMMAND, "store", action, path], {
    input,
    encoding: "utf8",
    maxBuffer: 1_000_000_000,
  });
  return { code: status, stdout, stderr };
}

/** How many outcomes are there as they were; whatever else is said of a task that had ended is a fault. */
async function readable({ path, outcomes, unfinished }: Awaited<ReturnType<typeof used>>) {
  const store = await openStore(`level:${path}`);
  try {
    let kept = 0;
    for (const [id, outcome] of outcomes) {
      const view = await store.read(id);
      if (view === undefined) continue;
      expect(toJson(view.outcome) === toJson(outcome)).toBe(true);
      kept += 1;
    }
    const open = await Promise.all(unfinished.map((id) => store.read(id)));
    return { kept, open: open.filter((view) => view !== undefined).length };
  } finally {
    await store.close();
  }
}

async function flip(file: string, at: number): Promise<void> {
  const handle = await open(file, "r+");
  await handle.write(Buffer.alloc(16, 0xa5), 0, 16, at);
  await handle.close();
}

async function largest(path: string, ending: string): Promise<{ file: string; size: number }> {
  const names = (await readdir(path)).filter((name) => name.endsWith(ending));
  const files = await Promise.all(
    names.map(async (name) => ({ file: join(path, name), size: (await stat(join(path, name))).size })),
  );
  const [first] = files.sort((a, b) => b.size - a.size);
  if (first === undefined) throw new Error(`there is no ${ending}`);
  return first;
}

test("a sound store is said to be so, and stays as it is", { timeout: 240_000 }, async () => {
  const store = await used();
  const before = (await readdir(store.path)).sort();
  expect(command("check", store.path)).toEqual({
    code: 0,
    stdout: `ok: ${FINISHED} finished tasks, ${UNFINISHED} unfinished\n`,
    stderr: "",
  });
  expect(command("repair", store.path).stdout).toMatch(/^nothing to repair: /);
  expect((await readdir(store.path)).sort()).toEqual(before);
  expect(await readable(store)).toEqual({ kept: FINISHED, open: UNFINISHED });
});

const DAMAGES: Readonly<Record<string, (path: string) => Promise<void>>> = {
  "CURRENT gone": (path) => rm(join(path, "CURRENT")),
  "CURRENT empty": (path) => truncate(join(path, "CURRENT")),
  "the manifest gone": async (path) => rm((await manifest(path)).file),
  "the manifest damaged": async (path) => flip((await manifest(path)).file, 20),
  "the log gone": async (path) => rm((await largest(path, ".log")).file),
  "the log damaged": async (path) => {
    const { file, size } = await largest(path, ".log");
    await flip(file, size >> 1);
  },
  "a table gone": async (path) => rm((await largestTable(path)).file),
  "a table cut short": async (path) => {
    const { file, size } = await largestTable(path);
    await truncate(file, size >> 1);
  },
};

/** Of those that are in use: LevelDB deletes others when it opens. */
async function largestTable(path: string) {
  await (await openStore(`level:${path}`)).close();
  return largest(path, ".ldb");
}

async function manifest(path: string) {
  const [name = ""] = (await readdir(path)).filter((each) => each.startsWith("MANIFEST"));
  return { file: join(path, name) };
}

test.each(Object.entries(DAMAGES))(
  "%s: the start refuses, and repair keeps what can be read and says nothing else of what had ended",
  { timeout: 240_000 },
  async (_, damage) => {
    const store = await used();
    await damage(store.path);
    await expect(openStore(`level:${store.path}`)).rejects.toThrow(/damaged \(.*store repair/s);

    const checked = command("check", store.path);
    expect([checked.code, checked.stdout]).toEqual([1, expect.stringMatching(/^damaged: .*\n.*would keep/s)]);
    await expect(openStore(`level:${store.path}`)).rejects.toThrow("damaged");

    const repaired = command("repair", store.path);
    const [, count, folder = ""] =
      /repaired: (\d+) finished tasks? kept; .*\nthe files as they were: (.*)\n$/s.exec(repaired.stdout) ??
      [];
    expect([repaired.code, repaired.stderr]).toEqual([0, ""]);
    expect(await readdir(folder)).not.toEqual([]);
    const { kept, open } = await readable(store);
    expect([kept, open]).toEqual([Number(count), 0]);
    expect(kept).toBeGreaterThan(FINISHED / 10);
    expect(command("check", store.path).code).toBe(0);
  },
);

test("a damaged table does not keep the gateway from starting; repair leaves out what it has lost", {
  timeout: 240_000,
}, async () => {
  const store = await used();
  const { file, size } = await largest(store.path, ".ldb");
  await flip(file, size >> 1);
  expect(command("check", store.path)).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^damaged: /),
  });
  expect(command("repair", store.path).code).toBe(0);
  const { kept } = await readable(store);
  expect(kept).toBeGreaterThan(FINISHED / 2);
  expect(kept).toBeLessThan(FINISHED);
});

test("an export is imported somewhere else, to the letter", { timeout: 240_000 }, async () => {
  const store = await used();
  const { code, stdout, stderr } = command("export", store.path);
  expect([code, stderr]).toEqual([0, ""]);
  const path = join(store.path, "elsewhere");
  expect(command("import", path, stdout).stdout).toMatch(/^imported \d+ cells\n$/);
  expect(await readable({ ...store, path })).toEqual({ kept: FINISHED, open: UNFINISHED });

  const lines = stdout.trimEnd().split("\n");
  const refused: readonly [string, RegExp][] = [
    ["", /ends before its end/],
    ["hello\n", /line 1: must be a JSON object/],
    ['{"a":1}\n', /line 1: must be \{"format"/],
    [`${lines.slice(0, -1).join("\n")}\n`, /ends before its end/],
    [`${lines.join("\n")}\n${lines[1]}\n`, /more after the end/],
    [`${lines[0]}\n{"key":1}\n`, /line 2: must have key and text/],
  ];
  for (const [n, [input, why]] of refused.entries()) {
    const target = join(store.path, `refused-${n}`);
    expect(command("import", target, input)).toMatchObject({ code: 2, stderr: expect.stringMatching(why) });
    expect(await readdir(target).catch(() => [])).toEqual([]);
  }
  expect(command("import", path, stdout)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/not empty/),
  });
});

test("a store that is in use, is none, or is not there is left alone", async () => {
  const path = await mkdtemp(join(tmpdir(), "taskgate-rescue-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  expect(command("check", path)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/there is no store/),
  });
  expect(command("repair", join(path, "none"))).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/no such directory/),
  });
  const store = await openStore(`level:${path}`);
  onTestFinished(() => store.close());
  for (const action of ["check", "repair", "export"])
    expect(command(action, path)).toMatchObject({ code: 2, stderr: expect.stringMatching(/in use/) });
  await writeFile(join(path, "file"), "");
  expect(command("bury", path).code).toBe(2);
});
