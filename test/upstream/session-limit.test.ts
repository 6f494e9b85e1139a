/** Who gets a place at the server, and when. */

import { describe, expect, test } from "vitest";
import { UpstreamFailure } from "../../src/upstream/failure.ts";
import { type Place, type PlaceWait, SessionLimit } from "../../src/upstream/sessions/session-limit.ts";

describe("as long as there is room", () => {
  test("everybody has a berth at once, and a berth that is left is another's", async () => {
    const { take, leave } = harbour(2);
    expect(await Promise.all([take("a"), take("b")])).toEqual(["berth", "berth"]);
    const c = take("c");
    leave("a");
    expect(await c).toBe("berth");
  });

  test("a berth can be left only once", async () => {
    const { take, leave, waiting } = harbour(1);
    await take("a");
    const b = take("b");
    leave("a");
    await b;
    leave("a");
    void take("c");
    await turn();
    expect(waiting()).toEqual(["c"]);
  });

  test("without a limit nobody waits", async () => {
    const { take } = harbour(Number.POSITIVE_INFINITY);
    const all = Array.from({ length: 1_000 }, (_, n) => take(`${n}`));
    expect(new Set(await Promise.all(all))).toEqual(new Set(["berth"]));
  });
});

describe("when all are taken", () => {
  test("who comes first is served first", async () => {
    const { take, leave, order } = harbour(1);
    await take("a");
    const others = ["b", "c", "d"].map((name) => take(name));
    for (const name of ["a", "b", "c"]) {
      leave(name);
      await turn();
    }
    await Promise.all(others);
    expect(order).toEqual(["a", "b", "c", "d"]);
  });

  test("who loses patience is told which setting it is, and is in nobody's way", async () => {
    const { take, leave } = harbour(1);
    await take("a");
    const b = take("b", { patienceMs: 1 });
    const c = take("c");
    const failure = await b.catch((error: UpstreamFailure) => error);
    expect(failure).toMatchObject({
      message:
        "The server has as many sessions as it may have (maxSessions: 1), and all are in use: none became free within 1 ms",
      facts: { mayHaveRun: false },
    });
    leave("a");
    expect(await c).toBe("berth");
  });

  test("who does not want it any more leaves the line, or does not even join it", async () => {
    const { take, leave, waiting } = harbour(1);
    await take("a");
    const over = new AbortController();
    const reason = new UpstreamFailure("over", { mayHaveRun: false });
    const b = take("b", { signal: over.signal });
    over.abort(reason);
    await expect(b).rejects.toBe(reason);
    leave("a");
    await expect(take("c", { signal: over.signal })).rejects.toBe(reason);
    expect(waiting()).toEqual([]);
    expect(await take("d")).toBe("berth");
  });

  test("who has no patience at all is refused, and nobody leaves for him", async () => {
    const { take, idle, ended } = harbour(1);
    await take("a");
    idle("a");
    await expect(take("b", { patienceMs: 0 })).rejects.toThrow("and all are in use");
    expect(ended).toEqual([]);
  });

  test("ten thousand wait, and the next is refused", async () => {
    const { take, berths } = harbour(1);
    await take("a");
    const waiting = Array.from({ length: 10_000 }, (_, n) => take(`${n}`));
    await expect(take("last")).rejects.toThrow("and all are in use: too many wait for one");
    berths.close();
    const ends = await Promise.allSettled(waiting);
    expect(new Set(ends.map(({ status }) => status))).toEqual(new Set(["rejected"]));
  });
});

describe("room is made", () => {
  test("by those who are of no use, one for each who waits and no more", async () => {
    const { take, idle, ended, gone } = harbour(4);
    for (const name of ["a", "b", "c", "d"]) await take(name);
    for (const name of ["a", "b", "c"]) idle(name);
    const others = [take("e"), take("f")];
    await turn();
    expect(ended).toEqual(["a", "b"]);
    gone("a");
    gone("b");
    expect(await Promise.all(others)).toEqual(["berth", "berth"]);
    expect(ended).toEqual(["a", "b"]);
  });

  test("as soon as somebody is of no use any more", async () => {
    const { take, idle, ended, gone } = harbour(1);
    await take("a");
    const b = take("b");
    await turn();
    expect(ended).toEqual([]);
    idle("a");
    gone("a");
    expect(await b).toBe("berth");
  });

  test("by nobody, where something else will do by now", async () => {
    const { take, idle, ended, spare } = harbour(1);
    await take("a");
    const b = take("b", { instead: spare });
    idle("a");
    expect(await b).toBe("a");
    expect(ended).toEqual([]);
  });
});

test("when it is closed, whoever waits is told so, and whoever comes", async () => {
  const { take, berths } = harbour(1);
  await take("a");
  const b = take("b");
  berths.close();
  await expect(b).rejects.toThrow("The gateway is stopping");
  await expect(take("c")).rejects.toThrow("The gateway is stopping");
});

/** A few berths, and those who have them by name. */
function harbour(max: number) {
  const leaves = new Map<string, () => void>();
  const idle: string[] = [];
  const ended: string[] = [];
  const order: string[] = [];
  const line = new Set<string>();
  const goodbyes = new Map<string, () => void>();
  const berths = new SessionLimit({
    max,
    setting: `maxSessions: ${max}`,
    makeRoom: () => {
      const name = idle.shift();
      if (name === undefined) return undefined;
      ended.push(name);
      return new Promise((resolve) => goodbyes.set(name, resolve));
    },
  });
  const take = async (name: string, wait: PlaceWait<string> = {}): Promise<string> => {
    line.add(name);
    const berth: Place<string> = await berths.take(wait).finally(() => line.delete(name));
    if ("instead" in berth) return berth.instead;
    leaves.set(name, berth.leave);
    order.push(name);
    return "berth";
  };
  const leave = (name: string) => leaves.get(name)?.();
  return {
    berths,
    take,
    leave,
    ended,
    order,
    waiting: () => [...line],
    /** Nobody uses it any more. */
    idle: (name: string) => {
      idle.push(name);
      berths.review();
    },
    spare: () => idle.shift(),
    /** One that was ended is gone. */
    gone: (name: string) => {
      leave(name);
      goodbyes.get(name)?.();
    },
  };
}

/** Everything that can happen without anybody's doing has happened. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
