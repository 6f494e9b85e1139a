import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { ClassicLevel } from "classic-level";
import { expect, onTestFinished, test, vi } from "vitest";
import { openStore } from "../../src/store/open.ts";
import type { StoreOptions } from "../../src/store/options.ts";
import type { TaskView } from "../../src/store/task-store.ts";
import { taskStoreContract } from "../contracts/task-store.ts";
import { firstCursor, listedIds, pagesOf } from "./pages.ts";
import { completed, newTask } from "./samples.ts";

taskStoreContract("level", async (options) => openLevel(await directory(), options));

test("tasks, answers and results are there when the store is opened again", async () => {
  const path = await directory();
  const first = await openStore(`level:${path}`);
  const finished = await first.create(newTask());
  await first.end(finished, completed("done"));
  const asking = await first.create(newTask({ inputRequests: { a: { method: "a" }, b: { method: "b" } } }));
  await first.answer(asking, "a", { result: { action: "accept" } });
  const before = await Promise.all([first.read(finished.id), first.read(asking.id)]);
  const secret = await first.secret();
  await first.close();

  const second = await openLevel(path);

  expect(await Promise.all([second.read(finished.id), second.read(asking.id)])).toEqual(before);
  expect([...(await second.answers(asking.id, ["a", "b"]))]).toEqual([
    ["a", { result: { action: "accept" } }],
  ]);
  expect(await second.end(finished, completed("again"))).toEqual(before[0]?.outcome);
  expect(await second.isAlive(asking.owner)).toBe(false);
  expect(await second.secret()).toEqual(secret);
});

test("a list, and a cursor into it, are there when the store is opened again", async () => {
  const path = await directory();
  const owner = { route: "reports", caller: "ada" };
  const first = await openStore(`level:${path}`);
  for (let n = 0; n < 5; n++) await first.create(newTask({ ...owner, isListed: true }));
  const before = await listedIds(first, owner);
  const cursor = await firstCursor(first, owner, 2);
  await first.close();

  const second = await openLevel(path);

  expect(before).toHaveLength(5);
  expect(await listedIds(second, owner, 2)).toEqual(before);
  const rest = await second.list(owner, { cursor, limit: 10 });
  expect(rest?.tasks.map(({ task }) => task.id)).toEqual(before.slice(2));
});

test("every acknowledged write outlives kill -9, three times over the same directory", {
  timeout: 600_000,
}, async () => {
  const path = await directory();
  const acknowledged = new Map<string, TaskView>();

  for (let round = 1; round <= 3; round++) {
    const enough = acknowledged.size + 1_500;
    const writer = startWriter(`level:${path}`);
    for await (const line of linesOf(writer)) {
      if (line === "open") continue;
      const view = JSON.parse(line) as TaskView;
      acknowledged.set(view.task.id, view);
      // What it says after the kill but before its death counts as well.
      if (acknowledged.size === enough) writer.kill("SIGKILL");
    }
    expect(writer.signalCode).toBe("SIGKILL");
  }

  const store = await openLevel(path);
  const read = await Promise.all([...acknowledged.keys()].map((id) => store.read(id)));
  const expected = [...acknowledged.values()];
  expect(acknowledged.size).toBeGreaterThanOrEqual(4_500);
  expect(expected.filter((view) => view.outcome).length).toBeGreaterThan(3_000);
  // An ending that was written but not yet acknowledged is there or not; it is nobody's loss.
  expect(read.map((view, n) => (expected[n]?.outcome ? view : { task: view?.task }))).toEqual(expected);

  const listable = expected.filter(({ task }) => task.isListed);
  const listed = new Map((await pagesOf(store, newTask(), 100)).flat().map((view) => [view.task.id, view]));
  expect(listable.length).toBeGreaterThan(2_000);
  expect(listable.map(({ task }) => listed.get(task.id))).toEqual(
    await Promise.all(listable.map(({ task }) => store.read(task.id))),
  );
});

test("a directory that another process holds is refused, and free again once that process is dead", async () => {
  const path = await directory();
  const holder = startWriter(`level:${path}`);
  await firstLine(holder);

  await expect(openStore(`level:${path}`)).rejects.toThrow(
    new Error(
      `store level:${path}: in use by another mcp-taskgate process; give this one another directory, or both a Redis`,
    ),
  );

  const died = once(holder, "exit");
  holder.kill("SIGKILL");
  await died;
  await expect(openLevel(path)).resolves.toMatchObject({ url: `level:${path}` });
});

test("a second process is refused with a message, not a crash", async () => {
  const path = await directory();
  await openLevel(path);

  const second = startWriter(`level:${path}`);
  const [exited, line] = await Promise.all([once(second, "exit"), firstLine(second)]);

  expect(line).toBe(
    `store level:${path}: in use by another mcp-taskgate process; give this one another directory, or both a Redis`,
  );
  expect(exited).toEqual([1, null]);
});

test("directories are created relative to the working directory, for their owner only", async () => {
  const cwd = await directory();
  const writer = startWriter("level:./deep/taskgate-data", cwd);

  expect(await firstLine(writer)).toBe("open");

  expect(await readdir(join(cwd, "deep/taskgate-data"))).toContain("CURRENT");
  const modes = await Promise.all(["deep", "deep/taskgate-data"].map((path) => stat(join(cwd, path))));
  expect(modes.map(({ mode }) => mode & 0o777)).toEqual([0o700, 0o700]);
});

test.each([
  ["is a file", "file", /^store level:.*file: not a directory \(EEXIST: /],
  ["lies below a file", "file/deep/data", /^store level:.*data: not a directory \(ENOTDIR: /],
])("a path that %s is refused with the reason", async (_, path, message) => {
  const parent = await directory();
  await writeFile(join(parent, "file"), "");

  const error = await openStore(`level:${join(parent, path)}`).catch((error: Error) => error);

  expect(error).toMatchObject({ message: expect.stringMatching(message), cause: expect.any(Error) });
});

test("a damaged directory is refused with the reason and left as it is", async () => {
  const path = await directory();
  await (await openStore(`level:${path}`)).close();
  await writeFile(join(path, "CURRENT"), "not a manifest");
  const before = (await readdir(path)).filter((name) => !name.startsWith("LOG"));

  const error = await openStore(`level:${path}`).catch((error: Error) => error);

  expect(error).toMatchObject({
    message: expect.stringMatching(
      /^store level:.*: damaged \(CURRENT names no manifest .*store repair .*or move the directory away/,
    ),
    cause: expect.any(Error),
  });
  expect((await readdir(path)).filter((name) => !name.startsWith("LOG"))).toEqual(before);
});

test("a note of the clock that cannot be read is an error that names the store, and leaves it closed", async () => {
  const path = await directory();
  await (await openStore(`level:${path}`)).close();
  const damage = Object.assign(new Error("Corruption: block checksum mismatch"), {
    code: "LEVEL_CORRUPTION",
  });
  vi.spyOn(ClassicLevel.prototype, "get").mockImplementationOnce(() => Promise.reject(damage) as never);
  onTestFinished(() => void vi.restoreAllMocks());

  await expect(openStore(`level:${path}`)).rejects.toThrow(
    `store level:${path}: damaged (Corruption: block checksum mismatch)`,
  );
  // Not in use by another process, as it would be if the database were still open.
  await openLevel(path);
});

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "taskgate-store-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function openLevel(path: string, options?: StoreOptions) {
  const store = await openStore(`level:${path}`, options);
  onTestFinished(() => store.close());
  return store;
}

function startWriter(url: string, cwd?: string): ChildProcess {
  const script = fileURLToPath(new URL("level-writer.ts", import.meta.url));
  const writer = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), script, url], {
    stdio: ["ignore", "pipe", "inherit"],
    ...(cwd === undefined ? {} : { cwd }),
  });
  onTestFinished(async () => {
    const isRunning = writer.exitCode === null && writer.signalCode === null;
    if (isRunning && writer.kill("SIGKILL")) await once(writer, "exit");
  });
  return writer;
}

/** Whole lines: what the kill has torn was not said. */
async function* linesOf(writer: ChildProcess): AsyncGenerator<string> {
  if (!writer.stdout) throw new Error("the writer has no output");
  const exited = once(writer, "exit");
  let rest = "";
  for await (const text of writer.stdout.setEncoding("utf8")) {
    const lines = `${rest}${text}`.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  await exited;
}

async function firstLine(writer: ChildProcess): Promise<string> {
  if (!writer.stdout) throw new Error("the writer has no output");
  const lines = createInterface({ input: writer.stdout });
  const [line] = await once(lines, "line");
  return line;
}

test.each([0o755, 0o777, 0o2775])(
  "a directory that was there with %o before is closed to others, with its files",
  async (mode) => {
    const path = await directory();
    await chmod(path, mode);
    await writeFile(join(path, "somebody-elses"), "", { mode: 0o644 });
    const first = await openStore(`level:${path}`);
    await first.create(newTask());
    await first.close();
    await chmod(path, mode);
    for (const name of await readdir(path)) await chmod(join(path, name), 0o644);
    const said: string[] = [];

    await openLevel(path, { warn: (message) => void said.push(message) });

    expect(said).toEqual([
      expect.stringMatching(/its directory was open to other users.*its permissions are 700 now/),
    ]);
    expect((await stat(path)).mode & 0o7777).toBe(0o700);
    const names = await readdir(path);
    const modes = await Promise.all(
      names.map(async (name) => [name, (await stat(join(path, name))).mode & 0o777]),
    );
    expect(names).toContain("CURRENT");
    expect(Object.fromEntries(modes)).toEqual({
      ...Object.fromEntries(names.map((name) => [name, 0o600])),
      "somebody-elses": 0o644,
    });
  },
);

test("nothing is said of a directory that is made here, or was closed already", async () => {
  const path = await directory();
  const said: string[] = [];
  const warn = (message: string) => void said.push(message);
  for (let times = 0; times < 2; times++)
    await (await openStore(`level:${join(path, "new")}`, { warn })).close();
  expect(said).toEqual([]);
});
