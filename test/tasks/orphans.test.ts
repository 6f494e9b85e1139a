import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import type { Call } from "../../src/calls/call.ts";
import { Slots } from "../../src/calls/slots.ts";
import { createLog } from "../../src/log/log.ts";
import { type StoredCall, type TaskRecord, UnreadableValue } from "../../src/store/task-store.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import type { Revive } from "../../src/tasks/orphans.ts";
import { newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";
import { Conditions } from "../support/conditions.ts";
import { heldCall } from "../support/idle-call.ts";

const TASK = newTask({ route: "r", caller: "c" });
const CLAIMANT = { route: "r", caller: "c" };
const RECIPE: StoredCall = { method: "tools/call", params: { name: "t" }, headers: {} };
const asking = { respond: async () => undefined } as never;

/** Gateways on one store. */
async function gateways() {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  return {
    memory,
    gateway: async (revive?: Revive, log = createLog("silent")) => {
      const { store, access } = await memory.replica();
      const engine = new TaskEngine({ store, log, ...(revive ? { revive } : {}) });
      onTestFinished(() => engine.close());
      return { store, engine, access };
    },
  };
}

/** Its process is killed: from now on it says nothing, and everybody knows that. */
async function kill({ store, access }: { store: { leave(): Promise<void> }; access: { isCut: boolean } }) {
  await store.leave();
  access.isCut = true;
}

function whenChanged(engine: TaskEngine, id: string, what: string, isSo: () => boolean): Promise<unknown> {
  const conditions = new Conditions(() => "");
  onTestFinished(engine.watch(id, () => conditions.check()));
  const timer = setInterval(() => conditions.check(), 5);
  onTestFinished(() => clearInterval(timer));
  return conditions.found(() => (isSo() ? true : undefined), what);
}

test("a task whose gateway has died, and of which nothing more is known, is lost, and everybody is told the same", async () => {
  const { gateway } = await gateways();
  const [a, b, c] = [await gateway(), await gateway(), await gateway()];
  const { id } = await a.engine.createTask(heldCall(), TASK, 1_000);
  expect((await b.engine.get(id, CLAIMANT)).outcome).toBeUndefined();
  await kill(a);

  const seen = await Promise.all([b, c].map(({ engine }) => engine.get(id, CLAIMANT)));
  expect(seen[0]?.outcome).toMatchObject({
    kind: "lost",
    reason: expect.stringMatching(/stopped before.*or before its answer was stored/),
  });
  expect(seen[1]?.outcome).toEqual(seen[0]?.outcome);
});

test("a task that nobody asks for is found as well", async () => {
  const { gateway } = await gateways();
  const [a, b] = [await gateway(), await gateway()];
  const { id } = await a.engine.createTask(heldCall(), TASK, 1_000);
  await kill(a);
  await b.engine.begin();
  expect((await b.store.read(id))?.outcome).toMatchObject({ kind: "lost" });
});

test("a sweep goes on past damaged tasks, and says so once for each", async () => {
  const { memory, gateway } = await gateways();
  const a = await gateway();
  const tasks: TaskRecord[] = [];
  for (let n = 0; n < 30; n += 1) tasks.push(await a.store.create(TASK));
  const damaged = new Set(tasks.filter((_, n) => n % 2 === 0).map(({ id }) => id));
  for (const id of damaged) memory.damage(`task:${id}`);
  await kill(a);
  const said: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void said.push(JSON.parse(line).msg) });
  const b = await gateway(undefined, log);

  await b.engine.begin();
  await b.engine.begin();

  for (const { id } of tasks.filter((task) => !damaged.has(task.id)))
    expect((await b.store.read(id))?.outcome).toMatchObject({ kind: "lost" });
  for (const id of damaged) await expect(b.store.read(id)).rejects.toThrow(UnreadableValue);
  expect(said.filter((line) => line.includes("cannot be read"))).toHaveLength(damaged.size);
});

test("a call that was never sent goes on with whoever finds it, once", async () => {
  const { gateway } = await gateways();
  const a = await gateway();
  const revived: Call[] = [];
  const revive: Revive = (task, recipe) => {
    expect(task.isUnsent).toBe(true);
    expect(recipe).toEqual(RECIPE);
    const call = heldCall({ storedCall: RECIPE });
    revived.push(call);
    return { call, maxResultBytes: 1_000 };
  };
  const others = [await gateway(revive), await gateway(revive)];
  const task = await a.store.create({ ...TASK, isUnsent: true, storedCall: RECIPE });
  await kill(a);

  const seen = await Promise.all(
    Array.from({ length: 20 }, (_, n) => others[n % 2]?.engine.get(task.id, CLAIMANT)),
  );
  const owners = new Set(seen.map((view) => view?.task.owner));
  expect(owners.size).toBe(1);
  expect(revived.filter(({ isWaiting, end }) => isWaiting || end !== undefined)).toHaveLength(1);
});

test("a task of a server that this gateway does not know is left to others", async () => {
  const { gateway } = await gateways();
  const [a, b] = [await gateway(), await gateway(() => "elsewhere")];
  const task = await a.store.create(TASK);
  await kill(a);
  await b.engine.begin();
  expect((await b.engine.get(task.id, CLAIMANT)).outcome).toBeUndefined();
  const c = await gateway();
  await c.engine.begin();
  expect((await b.engine.get(task.id, CLAIMANT)).outcome).toMatchObject({ kind: "lost" });
});

test("a task that this gateway seems to have taken over, but of which it knows nothing, is no less an orphan", async () => {
  const { gateway } = await gateways();
  const [a, b] = [await gateway(), await gateway()];
  const task = await a.store.create(TASK);
  await b.store.takeOver(task);
  expect((await b.engine.get(task.id, CLAIMANT)).outcome).toMatchObject({ kind: "lost" });
});

test("a gateway that can do nothing for a task does not end it when another has gone on with it meanwhile", async () => {
  const { gateway } = await gateways();
  const a = await gateway();
  const task = await a.store.create(TASK);
  await kill(a);
  const call = heldCall({ storedCall: RECIPE, slots: new Slots({ maxConcurrent: 0, maxQueued: 1 }) });
  const c = await gateway(() => ({ call, maxResultBytes: 1_000 }));
  const b = await gateway();
  // Between what the one reads and what it does about it, the other takes the task over.
  const storedCall = b.store.storedCall.bind(b.store);
  b.store.storedCall = async (id) => {
    await c.engine.begin();
    return storedCall(id);
  };
  await b.engine.begin();

  const view = await b.engine.get(task.id, CLAIMANT);
  expect(view.outcome).toBeUndefined();
  expect(view.task.owner).toBe(c.store.me);
  expect(call.end).toBeUndefined();
});

test("a task whose gateway died once it had given it up is lost, and not taken over", async () => {
  const { gateway } = await gateways();
  const [a, b] = [await gateway(), await gateway()];
  const task = await a.store.create(TASK);
  await kill(a);
  await b.store.giveUp(task);
  await kill(b);
  const c = await gateway(() => ({ call: heldCall({ storedCall: RECIPE }), maxResultBytes: 1_000 }));
  await c.engine.begin();
  expect((await c.engine.get(task.id, CLAIMANT)).outcome).toMatchObject({ kind: "lost" });
});

test("a task that ended before its gateway died keeps its ending", async () => {
  const { gateway } = await gateways();
  const [a, b] = [await gateway(), await gateway()];
  const call = heldCall();
  const { id } = await a.engine.createTask(call, TASK, 1_000);
  call.cancel("for the test");
  await a.engine.settled();
  await kill(a);
  expect((await b.engine.get(id, CLAIMANT)).outcome).toMatchObject({ kind: "cancelled" });
});

test("an answer that another gateway took reaches the call", async () => {
  const { gateway } = await gateways();
  const [a, b] = [await gateway(), await gateway()];
  const call = heldCall({ capabilities: { roots: {} } });
  call.onRequest({ jsonrpc: "2.0", id: 1, method: "roots/list" }, asking);
  const { id } = await a.engine.createTask(call, TASK, 1_000);
  const [key = ""] = Object.keys(call.inputRequests);

  await b.engine.update(id, CLAIMANT, { [key]: { roots: [] } });

  await whenChanged(a.engine, id, "the answer", () => !call.isAsking);
});

test("a call that another gateway cancelled is cancelled", async () => {
  const { gateway } = await gateways();
  const [a, b] = [await gateway(), await gateway()];
  const call = heldCall();
  const { id } = await a.engine.createTask(call, TASK, 1_000);
  await b.engine.cancel(id, CLAIMANT);
  await whenChanged(a.engine, id, "the end of the call", () => call.end !== undefined);
  expect(call.end).toMatchObject({ kind: "cancelled" });
});

test("a hint that was lost costs time only: whoever looks later sees the same", async () => {
  const { gateway, memory } = await gateways();
  const [a, b] = [await gateway(), await gateway()];
  const call = heldCall();
  const { id } = await a.engine.createTask(call, TASK, 1_000);
  a.access.isCut = true;
  await b.engine.cancel(id, CLAIMANT);
  expect(call.end).toBeUndefined();
  a.access.isCut = false;
  memory.publish({ kind: "missed" });
  await whenChanged(a.engine, id, "the end of the call", () => call.end !== undefined);
});

test("a gateway that was not heard of for too long learns that its task is another's, and leaves the call alone", async () => {
  const { gateway, memory } = await gateways();
  const [a, b] = [await gateway(), await gateway()];
  const call = heldCall();
  const record = await a.engine.createTask(call, TASK, 1_000);
  const adopted = (await b.store.takeOver(record)) as TaskRecord;
  memory.publish({ kind: "missed" });
  await whenChanged(a.engine, record.id, "the end of the call", () => call.end !== undefined);
  expect(call.end).toEqual({ kind: "handedOff" });
  await a.engine.settled();
  expect((await b.store.read(record.id))?.task).toEqual(adopted);
});

test("what somebody else can go on with is left to them when a gateway stops, and the rest is lost", async () => {
  const { gateway } = await gateways();
  const [a, b] = [await gateway(), await gateway(() => "elsewhere")];
  // There is no place for the one, and there is for the other.
  const queued = heldCall({ storedCall: RECIPE, slots: new Slots({ maxConcurrent: 0, maxQueued: 1 }) });
  const running = heldCall({ storedCall: RECIPE });
  const [left, lost] = [
    await a.engine.createTask(queued, TASK, 1_000),
    await a.engine.createTask(running, TASK, 1_000),
  ];
  await a.engine.close();
  await a.store.leave();
  expect((await b.engine.get(left.id, CLAIMANT)).outcome).toBeUndefined();
  expect((await b.engine.get(lost.id, CLAIMANT)).outcome).toMatchObject({ kind: "lost" });
});

test("what goes wrong at a gateway whose task is another's by now is not how the task ends", async () => {
  const { gateway } = await gateways();
  const [a, b] = [await gateway(), await gateway()];
  const call = heldCall();
  const record = await a.engine.createTask(call, TASK, 1_000);
  await b.store.takeOver(record);
  // Its connection may have broken while it stood still: here, its server asks what the client cannot answer.
  call.onRequest({ jsonrpc: "2.0", id: 1, method: "roots/list" }, asking);
  expect(call.end).toMatchObject({ kind: "ours" });
  await a.engine.settled();
  expect((await b.store.read(record.id))?.outcome).toBeUndefined();
});

test("a gateway that stops does not end a task that is another's by now", async () => {
  const { gateway } = await gateways();
  const [a, b] = [await gateway(), await gateway()];
  const call = heldCall();
  const record = await a.engine.createTask(call, TASK, 1_000);
  await b.store.takeOver(record);
  await a.engine.close();
  expect(call.end).toEqual({ kind: "handedOff" });
  expect((await b.store.read(record.id))?.outcome).toBeUndefined();
});

test("what somebody else can go on with is left to them though the store is away when a gateway stops", async () => {
  const { gateway } = await gateways();
  const a = await gateway();
  const queued = heldCall({ storedCall: RECIPE, slots: new Slots({ maxConcurrent: 0, maxQueued: 1 }) });
  await a.engine.createTask(queued, TASK, 1_000);
  a.access.isCut = true;
  await a.engine.close();
  expect(queued.end).toEqual({ kind: "handedOff" });
});

test("a task that cannot be looked after keeps nobody from the others", async () => {
  const { gateway, memory } = await gateways();
  const a = await gateway();
  const tasks = await Promise.all(
    Array.from({ length: 3 }, () => a.engine.createTask(heldCall(), TASK, 1_000)),
  );
  const ids = tasks.map(({ id }) => id).sort();
  const bad = await gateway((task) => {
    if (task.id === ids[0]) throw new Error("for the test");
    return undefined;
  });
  await kill(a);
  await bad.engine.begin();
  const { store } = await memory.replica();
  const kinds = await Promise.all(ids.map(async (id) => (await store.read(id))?.outcome?.kind));
  expect(kinds).toEqual([undefined, "lost", "lost"]);
});

test("a call that is lost because its gateway stops is no error to speak of", async () => {
  const { memory } = await gateways();
  const { store } = await memory.replica();
  const said: string[] = [];
  const log = pino({ level: "error" }, { write: (line: string) => void said.push(line) });
  const engine = new TaskEngine({ store, log });
  const { id } = await engine.createTask(heldCall(), TASK, 1_000);
  await engine.close();
  expect((await store.read(id))?.outcome).toMatchObject({ kind: "lost" });
  expect(said).toEqual([]);
});

test("what was last said of a call is not forgotten when another gateway picks it up", async () => {
  const { gateway } = await gateways();
  const place = {
    session: { protocolVersion: "2025-11-25" },
    requestId: 2,
    progressToken: 2,
    lastEventId: "4",
  };
  // It waits for a place, so that nothing else happens to it.
  const slots = new Slots({ maxConcurrent: 0, maxQueued: 1 });
  const checkpoint = { ...place, asked: {}, usedKeys: [] };
  const revive: Revive = () => ({
    call: heldCall({ storedCall: RECIPE, resume: checkpoint, slots }),
    maxResultBytes: 1_000,
  });
  const [a, b] = [await gateway(), await gateway(revive)];
  const { id } = await a.store.create({ ...TASK, statusMessage: "2 of 8", checkpoint, storedCall: RECIPE });
  await kill(a);

  expect((await b.engine.get(id, CLAIMANT)).task.owner).toBe(b.store.me);
  await b.engine.publish(id);
  expect((await b.store.read(id))?.task.statusMessage).toBe("2 of 8");
});
