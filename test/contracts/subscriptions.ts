import { expect, onTestFinished, test } from "vitest";
import type { StoreOptions } from "../../src/store/options.ts";
import { outboxOf, type Subscription } from "../../src/store/subscriptions.ts";
import type { Nudge, TaskStore } from "../../src/store/task-store.ts";
import { completed, newTask } from "../store/samples.ts";

const QUESTION = { method: "elicitation/create" };
const OWNER = { route: "reports", caller: "user:ada" };

/** What every store promises of the subscriptions that clients have. */
export function subscriptionsContract(
  name: string,
  open: (options?: StoreOptions) => Promise<TaskStore>,
): void {
  const opened = async () => {
    const time = { now: 1_800_000_000_000 };
    const store = await open({ clock: () => time.now, hasSubscriptions: true });
    onTestFinished(() => store.close());
    const granted = (more: Partial<Subscription> = {}): Subscription => ({
      id: "sub_one",
      owner: OWNER,
      url: "https://receiver.example/",
      name: "event",
      arguments: {},
      secrets: [{ secret: "whsec_x" }],
      verifiedAt: time.now,
      expiresAt: time.now + 60_000,
      ...more,
    });
    const kinds = async (id: string) =>
      (await store.outbox.waiting(outboxOf(id), 100)).map(({ kind }) => kind);
    return { store, time, granted, kinds, all: store.subscriptions };
  };

  test(`${name}: what its owner's tasks ask, and how they end, waits for a subscription`, async () => {
    const { store, granted, kinds, all } = await opened();
    const told: Nudge[] = [];
    onTestFinished(store.watch((nudge) => void (nudge.kind === "told" && told.push(nudge))));
    await all.put(granted());
    await all.put(granted({ id: "sub_other", owner: { ...OWNER, caller: "user:eve" } }));
    await all.put(granted({ id: "sub_elsewhere", owner: { ...OWNER, route: "other" } }));
    let task = await store.create(newTask({ ...OWNER, isListed: true }));
    task = await store.update(task, { statusMessage: "half" });
    expect(await kinds("sub_one")).toEqual([]);
    task = await store.update(task, { inputRequests: { a: QUESTION } });
    await store.end(task, completed("done"));
    expect(new Set(await kinds("sub_one"))).toEqual(new Set(["asked", "ended"]));
    expect([await kinds("sub_other"), await kinds("sub_elsewhere")]).toEqual([[], []]);
    expect(new Set(told.map((nudge) => "id" in nudge && nudge.id))).toEqual(new Set(["sub_one"]));
  });

  test(`${name}: a task whose caller is not told apart is told to no subscription`, async () => {
    const { store, granted, kinds, all } = await opened();
    await all.put(granted());
    await store.end(await store.create(newTask(OWNER)), completed("done"));
    expect(await kinds("sub_one")).toEqual([]);
  });

  test(`${name}: a task that asks from the start is told once its client knows it`, async () => {
    const { store, granted, kinds, all } = await opened();
    await all.put(granted());
    const rounds = { request: "r", key: "k" };
    const asks = { ...OWNER, isListed: true, inputRequests: { a: QUESTION }, rounds };
    const task = await store.create(newTask(asks));
    expect(await kinds("sub_one")).toEqual([]);
    await store.tell(task);
    expect(await kinds("sub_one")).toEqual(["asked"]);
    await store.create(newTask({ ...asks, rounds: undefined } as never));
    expect(await kinds("sub_one")).toEqual(["asked", "asked"]);
  });

  test(`${name}: a subscription is there until its time is over, or its client ends it`, async () => {
    const { store, time, granted, kinds, all } = await opened();
    const [one, two] = [granted(), granted({ id: "sub_two", expiresAt: time.now + 120_000 })];
    await all.put(one);
    await all.put(two);
    expect(await all.find("sub_one")).toEqual({ is: "subscription", subscription: one });
    expect(await all.ofOwner(OWNER)).toEqual([one, two]);
    expect(await all.all(1)).toEqual(["sub_one"]);
    expect(await all.all(5, "sub_one")).toEqual(["sub_two"]);
    const again = { ...one, secrets: [{ secret: "whsec_y" }], expiresAt: time.now + 90_000 };
    await all.put(again);
    expect(await all.ofOwner(OWNER)).toEqual([again, two]);
    time.now += 90_001;
    expect(await all.findAll(["sub_one", "sub_none", "sub_two"])).toEqual([
      { is: "over", owner: OWNER },
      undefined,
      { is: "subscription", subscription: two },
    ]);
    await all.tidy(OWNER);
    expect(await all.all(5)).toEqual(["sub_two"]);
    await all.end(two);
    expect(await all.find("sub_two")).toEqual({ is: "over", owner: OWNER });
    expect([await all.ofOwner(OWNER), await all.all(5)]).toEqual([[], []]);
    await store.end(await store.create(newTask({ ...OWNER, isListed: true })), completed("done"));
    expect([await kinds("sub_one"), await kinds("sub_two")]).toEqual([[], []]);
  });

  test(`${name}: what has happened already can be told to one subscription`, async () => {
    const { store, time, granted, kinds, all } = await opened();
    const outcome = completed("done");
    const task = await store.create(newTask({ ...OWNER, isListed: true }));
    await store.end(task, outcome);
    await all.put(granted());
    await all.catchUp("sub_one", task, time.now, [{ kind: "ended", outcome }]);
    expect(await kinds("sub_one")).toEqual(["ended"]);
    const health = { isLeftAlone: true, failure: "timeout" };
    expect(await all.health("sub_one")).toBeUndefined();
    await all.noteHealth("sub_one", health);
    expect(await all.health("sub_one")).toEqual(health);
  });
}
