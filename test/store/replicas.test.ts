import { expect, onTestFinished, test, vi } from "vitest";
import { MAX_TURNS, type TaskRecord, type TaskStore } from "../../src/store/task-store.ts";
import { completed, newTask } from "./samples.ts";
import { SharedMemory } from "./shared-backend.ts";

const LEASE_MS = 3_000;

/** Two replicas on one store, on a clock that the test sets. */
async function two() {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
  const memory = new SharedMemory();
  onTestFinished(async () => {
    await memory.close();
    vi.useRealTimers();
  });
  const [a, b] = [await memory.replica({ leaseMs: LEASE_MS }), await memory.replica({ leaseMs: LEASE_MS })];
  return { memory, a: a.store, b: b.store, accessOfA: a.access, accessOfB: b.access };
}

/** A process that is killed says nothing any more, and what it said last expires. */
async function kill(memory: SharedMemory, access: { isCut: boolean }, store: TaskStore): Promise<void> {
  access.isCut = true;
  memory.forget(`replica:${store.me}`);
}

async function orphansOf(store: TaskStore): Promise<string[]> {
  const found: string[] = [];
  await store.orphans(async (id) => {
    found.push(id);
    return false;
  });
  return found;
}

test("replicas that are heard of are alive, for as long as they are", async () => {
  const { a, b } = await two();
  for (let lease = 0; lease < 5; lease += 1) {
    expect(await a.isAlive(b.me)).toBe(true);
    expect(await b.isAlive(a.me)).toBe(true);
    await vi.advanceTimersByTimeAsync(LEASE_MS);
  }
});

test("a replica that is not heard of any more is dead to those that are", async () => {
  const { memory, a, b, accessOfA } = await two();
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  await kill(memory, accessOfA, a);
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  expect(await b.isAlive(a.me)).toBe(false);
});

test("a replica that is new judges nobody for one lease", async () => {
  const { memory, a, accessOfA } = await two();
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  await kill(memory, accessOfA, a);
  const late = await memory.replica({ leaseMs: LEASE_MS });
  expect(await late.store.isAlive(a.me)).toBe(true);
  await vi.advanceTimersByTimeAsync(LEASE_MS + 1);
  expect(await late.store.isAlive(a.me)).toBe(false);
});

test("a replica that could not reach the store itself judges nobody for one lease", async () => {
  const { memory, a, b, accessOfA, accessOfB } = await two();
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  accessOfB.isCut = true;
  await vi.advanceTimersByTimeAsync(LEASE_MS / 2);
  accessOfB.isCut = false;
  await kill(memory, accessOfA, a);
  expect(await b.isAlive(a.me)).toBe(true);
  // One beat more until it is heard again, and then a lease.
  await vi.advanceTimersByTimeAsync(2 * LEASE_MS);
  expect(await b.isAlive(a.me)).toBe(false);
});

test("a replica whose store has forgotten it judges nobody for one lease, as the store may have forgotten anybody", async () => {
  const { memory, a, b } = await two();
  await vi.advanceTimersByTimeAsync(LEASE_MS + 1);
  for (const { me } of [a, b]) memory.forget(`replica:${me}`);
  expect(await b.isAlive(a.me)).toBe(true);
  memory.forget(`replica:${a.me}`);
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  expect(await b.isAlive(a.me)).toBe(true);
});

test("a replica learns from its own heartbeat as well that the store has forgotten it", async () => {
  const { memory, a, b, accessOfA } = await two();
  await vi.advanceTimersByTimeAsync(LEASE_MS + 1);
  for (const { me } of [a, b]) memory.forget(`replica:${me}`);
  accessOfA.isCut = true;
  await vi.advanceTimersByTimeAsync(LEASE_MS / 2);
  expect(await b.isAlive(a.me)).toBe(true);
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  expect(await b.isAlive(a.me)).toBe(false);
});

test("a replica that was taken out of the list while it was paused is in it again with its next heartbeat", async () => {
  const { memory, a, b } = await two();
  await memory.unlist("replicas", a.me);
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  const task = await a.create(newTask());
  await a.leave();
  expect(await orphansOf(b)).toEqual([task.id]);
});

test("a replica that has left is dead at once, also to one that is new", async () => {
  const { memory, a, b } = await two();
  const heard: unknown[] = [];
  b.watch((nudge) => heard.push(nudge));
  await a.leave();
  expect(await b.isAlive(a.me)).toBe(false);
  expect(await (await memory.replica()).store.isAlive(a.me)).toBe(false);
  expect(heard).toEqual([{ kind: "left", replica: a.me }]);
});

test("a replica is alone once nobody else is heard any more, or has left", async () => {
  const { memory, a, b, accessOfA } = await two();
  expect([await a.isAlone(), await b.isAlone()]).toEqual([false, false]);
  await kill(memory, accessOfA, a);
  expect(await b.isAlone()).toBe(true);
  const late = (await memory.replica({ leaseMs: LEASE_MS })).store;
  expect([await late.isAlone(), await b.isAlone()]).toEqual([false, false]);
  await late.leave();
  expect(await b.isAlone()).toBe(true);
});

test("a replica whose cell is damaged is not taken to be dead, and writes it anew", async () => {
  const { memory, a, b } = await two();
  const { id } = await a.create(newTask());
  await vi.advanceTimersByTimeAsync(LEASE_MS + 1);
  for (const each of [a, b]) memory.damage(`replica:${each.me}`);

  expect([await b.isAlive(a.me), await b.isAlone(), await orphansOf(b)]).toEqual([true, false, []]);
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  expect([a.holdsLease, b.holdsLease]).toEqual([true, true]);
  expect((await b.read(id))?.task.owner).toBe(a.me);
});

test("the tasks of a replica that is gone are shown until somebody has looked after them", async () => {
  const { a, b } = await two();
  const [open, ended] = [await a.create(newTask()), await a.create(newTask())];
  await b.create(newTask());
  await a.end(ended, completed("done"));
  expect(await orphansOf(b)).toEqual([]);
  await a.leave();

  expect(await orphansOf(b)).toEqual([open.id]);
  expect(await orphansOf(b)).toEqual([open.id]);
  const owners: string[] = [];
  await b.orphans(async (_, owner) => owners.push(owner) > 0);
  expect(owners).toEqual([a.me]);
  expect(await orphansOf(b)).toEqual([]);
});

test("of many orphans none is left out", async () => {
  const { a, b } = await two();
  const tasks = await Promise.all(Array.from({ length: 1_200 }, () => a.create(newTask())));
  await a.leave();
  const found = new Set<string>();
  await b.orphans(async (id) => found.add(id).size > 0);
  expect(found).toEqual(new Set(tasks.map(({ id }) => id)));
  expect(await orphansOf(b)).toEqual([]);
});

test("a replica that comes back after a pause is in the list again", async () => {
  const { memory, a, b, accessOfA } = await two();
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  await kill(memory, accessOfA, a);
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  expect(await orphansOf(b)).toEqual([]);
  accessOfA.isCut = false;
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  expect(await b.isAlive(a.me)).toBe(true);
  const task = await a.create(newTask());
  await a.leave();
  expect(await orphansOf(b)).toEqual([task.id]);
});

test("the tasks of a replica that goes on after a pause are found, should it die before its next heartbeat", async () => {
  const { memory, a, b, accessOfA } = await two();
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  await kill(memory, accessOfA, a);
  await vi.advanceTimersByTimeAsync(LEASE_MS);
  expect(await orphansOf(b)).toEqual([]);
  accessOfA.isCut = false;
  const task = await a.create(newTask());
  accessOfA.isCut = true;
  expect(await orphansOf(b)).toEqual([task.id]);
});

test("whoever adopts a task first has it, and what its former owner writes is not seen", async () => {
  const { a, b } = await two();
  const task = await a.create(newTask({ statusMessage: "begun" }));
  const adopted = (await b.takeOver(task)) as TaskRecord;
  expect(adopted).toMatchObject({ id: task.id, owner: b.me, turn: 1, statusMessage: "begun" });
  expect(await a.takeOver(task)).toBeUndefined();

  await a.update(task, { statusMessage: "by its former owner" });
  expect((await a.read(task.id))?.task).toMatchObject({ owner: b.me, statusMessage: "begun" });
  await b.update(adopted, { statusMessage: "by its owner" });
  expect((await a.read(task.id))?.task).toMatchObject({ owner: b.me, statusMessage: "by its owner" });
});

test("the first outcome stands, whoever owned the task", async () => {
  const { a, b } = await two();
  const task = await a.create(newTask());
  const adopted = (await b.takeOver(task)) as TaskRecord;
  const first = await a.end(task, completed("by its former owner"));
  expect(await b.end(adopted, completed("by its owner"))).toEqual(first);
});

test("of many that want to adopt a task at once one does", async () => {
  const { memory, a } = await two();
  const task = await a.create(newTask());
  const others = await Promise.all(Array.from({ length: 9 }, () => memory.replica()));
  const adopted = await Promise.all(others.map(({ store }) => store.takeOver(task)));
  const winners = adopted.filter((record) => record !== undefined);
  expect(winners).toHaveLength(1);
  expect((await a.read(task.id))?.task.owner).toBe(winners[0]?.owner);
});

test("an adopted task is its new owner's orphan, should that die as well", async () => {
  const { memory, a, b } = await two();
  const task = await a.create(newTask());
  await a.leave();
  await b.orphans(async (id) => (await b.takeOver((await b.read(id))?.task as TaskRecord)) !== undefined);
  await b.leave();
  expect(await orphansOf((await memory.replica()).store)).toEqual([task.id]);
});

test("a call is certainly unsent until its owner adopts the task once more", async () => {
  const { a, b } = await two();
  const task = await a.create(newTask({ isUnsent: true }));
  const taken = (await b.takeOver(task, true)) as TaskRecord;
  expect(taken).toMatchObject({ isUnsent: true, turn: 1 });
  // A former owner who does not know is told that it is too late.
  expect(await a.takeOver(task)).toBeUndefined();
  const sending = (await b.takeOver(taken)) as TaskRecord;
  expect(sending.isUnsent).toBeUndefined();
  expect((await a.read(task.id))?.task).toEqual(sending);
});

test("a call is paused, whoever has the task, until its owner adopts it once more to send the next round", async () => {
  const { memory, a, b } = await two();
  const pause = { requestState: "s", asked: { who: "who" }, usedKeys: ["who"] };
  const task = await a.update(await a.create(newTask()), { pause });
  const taken = (await b.takeOver(task, true)) as TaskRecord;
  expect(taken).toMatchObject({ pause, turn: 1 });
  expect(taken).not.toHaveProperty("isUnsent");
  memory.forget(`task:${task.id}:1`);
  expect((await a.read(task.id))?.task.pause).toEqual(pause);
  // A former owner who does not know is told that it is too late.
  expect(await a.takeOver(task)).toBeUndefined();
  const sending = (await b.takeOver(taken)) as TaskRecord;
  expect(sending).not.toHaveProperty("pause");
  memory.forget(`task:${task.id}:2`);
  expect((await a.read(task.id))?.task).not.toHaveProperty("pause");
  await b.end(taken, completed("b"));
  expect((await a.read(task.id))?.task).not.toHaveProperty("pause");
});

test("who tried to adopt a task and did not hear of its success may try again", async () => {
  const { a } = await two();
  const task = await a.create(newTask({ isUnsent: true }));
  const first = await a.takeOver(task);
  expect(await a.takeOver(task)).toEqual({ ...first, updatedAt: expect.any(Number) });
});

test("a task that is given up is nobody's any more, and is given up by as many as like", async () => {
  const { memory, a, b } = await two();
  const c = (await memory.replica()).store;
  const task = await a.create(newTask({ isUnsent: true }));
  const givenUp = await b.giveUp(task);
  expect(givenUp).toMatchObject({ id: task.id, owner: b.me, turn: 1, isGivenUp: true });
  expect(givenUp).not.toHaveProperty("isUnsent");
  expect(await c.giveUp(task)).toEqual(givenUp);
  expect((await c.read(task.id))?.task).toEqual(givenUp);
  for (const store of [a, b, c]) {
    expect(await store.takeOver(task)).toBeUndefined();
    expect(await store.takeOver(givenUp as TaskRecord)).toBeUndefined();
    expect(await store.giveUp(givenUp as TaskRecord)).toEqual(givenUp);
  }
  await c.end(givenUp as TaskRecord, completed("c"));
  expect((await a.read(task.id))?.task).not.toHaveProperty("isGivenUp");
});

test("a task that somebody goes on with is not given up", async () => {
  const { a, b } = await two();
  const task = await a.create(newTask());
  const adopted = await b.takeOver(task);
  expect(await a.giveUp(task)).toBeUndefined();
  expect(await b.giveUp(task)).toBeUndefined();
  expect((await a.read(task.id))?.task).toEqual(adopted);
});

test("a task changes hands so often and no more", async () => {
  const { a, b } = await two();
  let task: TaskRecord | undefined = await a.create(newTask());
  const { id } = task;
  let turns = 0;
  for (; task !== undefined; turns += 1) task = await (turns % 2 === 0 ? b : a).takeOver(task);
  expect(turns - 1).toBe(MAX_TURNS);
  expect((await a.read(id))?.task.turn).toBe(MAX_TURNS);
});

test("an owner that dies while it adopts a task has adopted it", async () => {
  const { memory, a, b } = await two();
  const task = await a.create(newTask({ statusMessage: "begun" }));
  await b.takeOver(task);
  memory.forget(`task:${task.id}:1`);
  expect((await a.read(task.id))?.task).toMatchObject({ owner: b.me, turn: 1, statusMessage: "begun" });
});

test("a task is known as long as it is written, however long ago its first owner wrote", async () => {
  const { memory, a, b } = await two();
  const task = await a.create(newTask());
  const adopted = (await b.takeOver(task)) as TaskRecord;
  memory.forget(`task:${task.id}`);
  expect((await a.read(task.id))?.task).toEqual(adopted);
  memory.forget(`task:${task.id}:1`);
  expect(await a.read(task.id)).toBeUndefined();
});

test("what it takes to make a call is kept beside the record, and not with the result", async () => {
  const { a, b } = await two();
  const recipe = { method: "tools/call", params: { name: "t" }, headers: {} };
  const task = await a.create(newTask({ storedCall: recipe }));
  expect(task).not.toHaveProperty("recipe");
  expect((await b.read(task.id))?.task).not.toHaveProperty("recipe");
  expect(await b.storedCall(task.id)).toEqual(recipe);
  const other = await a.create(newTask());
  expect(await b.storedCall(other.id)).toBeUndefined();
  await a.update(other, { storedCall: recipe });
  expect(await b.storedCall(other.id)).toEqual(recipe);
});

test("a task is told once it is, to everybody", async () => {
  const { a, b } = await two();
  const task = await a.create(newTask());
  expect(await b.isTold(task.id)).toBe(false);
  await b.tell(task);
  await b.tell(task);
  expect(await a.isTold(task.id)).toBe(true);
});
