import { expect, test } from "vitest";
import { GroupCommit, type Write } from "../../src/store/embedded/group-commit.ts";

test("writes that arrive during a commit go together in the next, in order", async () => {
  const { commits, groups, finish } = heldCommits();

  const first = commits.write([put("a")]);
  await finish.next();
  const others = [commits.write([put("b"), put("c")]), commits.write([put("b")])];
  finish.release();
  await first;
  await finish.next();
  finish.release();
  await Promise.all(others);

  expect(groups).toEqual([["a"], ["b", "c", "b"]]);
});

test("writes of one turn of the event loop go together from the first", async () => {
  const groups: string[][] = [];
  const commits = new GroupCommit(async (writes) => {
    groups.push(writes.map(({ key }) => key));
  });

  await Promise.all(["a", "b", "c"].map((key) => commits.write([put(key)])));

  expect(groups).toEqual([["a", "b", "c"]]);
});

test("a failed commit fails those whose writes it held, and the next goes on", async () => {
  let isBroken = true;
  const commits = new GroupCommit(async () => {
    if (isBroken) throw new Error("disk full");
  });

  const failed = await Promise.allSettled([commits.write([put("a")]), commits.write([put("b")])]);
  isBroken = false;

  expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  await expect(commits.write([put("c")])).resolves.toBeUndefined();
});

test("a group is bounded in calls and in size, a single call never", async () => {
  const sizes: number[] = [];
  const commits = new GroupCommit(async (writes) => {
    sizes.push(writes.length);
  });

  await Promise.all(Array.from({ length: 2_500 }, (_, n) => commits.write([put(`${n}`)])));
  const large = "x".repeat(5_000_000);
  await Promise.all(["a", "b"].map((key) => commits.write([put(key, large)])));
  await commits.write([put("a", large), put("b", large), put("c", large)]);

  expect(sizes).toEqual([1_000, 1_000, 500, 1, 1, 3]);
});

test("no writes at all wait for those given before", async () => {
  const { commits, finish } = heldCommits();
  const order: string[] = [];
  const written = commits.write([put("a")]).then(() => order.push("written"));
  await finish.next();

  const barrier = commits.write([]).then(() => order.push("barrier"));
  finish.release();
  await finish.next();
  finish.release();
  await Promise.all([written, barrier]);

  expect(order).toEqual(["written", "barrier"]);
});

function put(key: string, text = "text"): Write {
  return { key, text };
}

/** Commits that each begin, wait to be released, and end. */
function heldCommits() {
  const groups: string[][] = [];
  let begun = deferred();
  let released = deferred();
  const commits = new GroupCommit(async (writes) => {
    groups.push(writes.map(({ key }) => key));
    begun.resolve();
    await released.promise;
  });
  const finish = {
    async next(): Promise<void> {
      await begun.promise;
      begun = deferred();
    },
    release(): void {
      const { resolve } = released;
      released = deferred();
      resolve();
    },
  };
  return { commits, groups, finish };
}

function deferred() {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
