/** Calls that have to wait: nothing is sent twice, and nothing that certainly was not sent is forgotten. */

import { expect, onTestFinished, test, vi } from "vitest";
import { Slots } from "../../src/calls/slots.ts";
import { createLog } from "../../src/log/log.ts";
import { RpcError } from "../../src/protocol/errors.ts";
import type { StoredCall, TaskId } from "../../src/store/task-store.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import type { Revive } from "../../src/tasks/orphans.ts";
import { newTask } from "../store/samples.ts";
import { type Access, SharedMemory } from "../store/shared-backend.ts";
import { half } from "../support/call-halves.ts";
import { type ScriptedServer, startScriptedServer } from "../support/scripted-server.ts";
import { gate } from "../support/story.ts";

const TASK = newTask({ route: "r", caller: "ada" });
const CLAIMANT = { route: "r", caller: "ada" };
const RECIPE: StoredCall = { method: "tools/call", params: { name: "job" }, headers: {} };
const MAX_BYTES = 10_000;

/** Two gateways on one store and before one server, with a place for one call each. */
async function two() {
  const server = await startScriptedServer({ "tools/call": (call) => call.text("done") });
  onTestFinished(server.close);
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const gateway = async () => {
    const slots = new Slots({ maxConcurrent: 1, maxQueued: 10 });
    const { call } = half(server.url, { slots });
    const { store, access } = await memory.replica();
    const revive: Revive = ({ isUnsent }) =>
      isUnsent ? { call: call({ storedCall: RECIPE }).call, maxResultBytes: MAX_BYTES } : undefined;
    const engine = new TaskEngine({ store, log: createLog("silent"), revive, maxWaitMs: 60_000 });
    onTestFinished(() => engine.close());
    /** Takes the only place until the returned function is called. */
    const occupy = async () => {
      const leave = await new Promise<() => void>((resolve) => {
        const give = slots.enter("ada", () => resolve(give));
      });
      return leave;
    };
    return { store, access, engine, occupy, newCall: () => call({ storedCall: RECIPE }).call };
  };
  return { server, memory, here: await gateway(), there: await gateway() };
}

const sent = (server: ScriptedServer) =>
  server.received.filter(({ method }) => method === "tools/call").length;

async function settled(engine: TaskEngine, id: TaskId) {
  return vi.waitUntil(async () => (await engine.get(id, CLAIMANT)).outcome, { timeout: 60_000, interval: 5 });
}

/** Its process is killed, and everybody knows that. */
async function kill({ store, access }: { store: { leave(): Promise<void> }; access: Access }): Promise<void> {
  await store.leave();
  access.isCut = true;
}

test("a call that waits when it becomes a task is sent by somebody else, should its gateway die", async () => {
  const { server, here, there } = await two();
  await here.occupy();
  const { id, isUnsent } = await here.engine.createTask(here.newCall().start(), TASK, MAX_BYTES);
  expect(isUnsent).toBe(true);
  await kill(here);
  expect(await settled(there.engine, id)).toMatchObject({ kind: "completed" });
  expect(sent(server)).toBe(1);
});

test("a call that is not started and finds no place says so in its first record", async () => {
  const { server, here, there } = await two();
  await here.occupy();
  // Stored call and record, and nothing after them.
  here.access.writesLeft = 2;
  const { id, isUnsent } = await here.engine.createTask(here.newCall(), TASK, MAX_BYTES);
  expect(isUnsent).toBe(true);
  expect(here.access.refused).toBe(0);
  here.access.writesLeft = Infinity;
  await kill(here);
  expect(await settled(there.engine, id)).toMatchObject({ kind: "completed" });
  expect(sent(server)).toBe(1);
});

test("a call whose record says that it is not sent is claimed before it is sent, though it has no longer to wait when it is started", async () => {
  const { server, here, there } = await two();
  const leave = await here.occupy();
  const call = here.newCall();
  const record = await here.engine.createTask(call, TASK, MAX_BYTES);
  leave();
  // Meanwhile this gateway was paused, and others went on with the call.
  await there.store.takeOver(record, true);
  call.start();
  await vi.waitUntil(() => call.end, { timeout: 60_000 });
  expect(call.end).toEqual({ kind: "handedOff" });
  expect(sent(server)).toBe(0);
});

test("one whose creation was refused, and succeeded unheard, is sent by nobody", async () => {
  const { server, here, there } = await two();
  const leave = await here.occupy();
  const call = here.newCall();
  const create = vi.spyOn(here.store, "create");
  here.access.isDeaf = true;
  await expect(here.engine.createTask(call, TASK, MAX_BYTES)).rejects.toThrow("no reply");
  call.cancel("it could not be begun");
  const id = create.mock.calls[0]?.[1] ?? "";
  expect((await there.store.read(id))?.task.isUnsent).toBe(true);
  leave();
  here.access.isDeaf = false;
  // Not even by this gateway, which is its owner and does not run it.
  expect((await here.engine.get(id, CLAIMANT)).task.turn).toBeUndefined();
  await vi.waitUntil(async () => (await there.store.read(id))?.outcome, { timeout: 60_000 });
  await kill(here);
  await there.engine.begin();
  expect((await there.store.read(id))?.outcome).toMatchObject({ kind: "cancelled" });
  expect(sent(server)).toBe(0);
});

test.for(["the client has gone", "the gateway stops"])(
  "so is one that succeeded unheard and is given up because %s",
  async (why) => {
    const { server, here, there } = await two();
    const leave = await here.occupy();
    const call = here.newCall();
    const create = vi.spyOn(here.store, "create");
    const [gone, stopping] = [new AbortController(), new AbortController()];
    here.access.isDeaf = true;
    const waiter = { caller: "ada", gone: gone.signal, stopping: stopping.signal, bytes: 1 };
    const creation = here.engine.createTask(call, TASK, MAX_BYTES, () => waiter);
    await vi.waitUntil(() => here.access.refused > 0, { timeout: 60_000 });
    (why === "the client has gone" ? gone : stopping).abort();
    await expect(creation).rejects.toThrow(RpcError);
    call.cancel("it could not be begun");
    leave();
    here.access.isDeaf = false;
    const id = create.mock.calls[0]?.[1] ?? "";
    await vi.waitUntil(async () => (await there.store.read(id))?.outcome, { timeout: 60_000 });
    await kill(here);
    await there.engine.begin();
    expect((await there.store.read(id))?.outcome).toMatchObject({ kind: "cancelled" });
    expect(sent(server)).toBe(0);
  },
);

test("whoever sends the same keyed call again goes on with a creation that its first client gave up", async () => {
  const { server, here } = await two();
  const keyed = { ...TASK, id: here.store.newId(), fingerprint: "t" };
  const [first, second] = [here.newCall(), here.newCall()];
  const [gone, stays] = [new AbortController(), new AbortController()];
  const waiting = ({ signal }: AbortController) => ({ caller: "ada", gone: signal, bytes: 1 });
  here.access.isDeaf = true;
  const given = here.engine.createTask(first, keyed, MAX_BYTES, () => waiting(gone));
  await vi.waitUntil(() => here.access.refused > 0, { timeout: 60_000 });
  const { refused } = here.access;
  const again = here.engine.createTask(second, keyed, MAX_BYTES, () => waiting(stays));
  gone.abort();
  await expect(given).rejects.toThrow(RpcError);
  first.cancel("it could not be begun");
  await vi.waitUntil(() => here.access.refused > refused, { timeout: 60_000 });
  here.access.isDeaf = false;
  const { id } = await again;
  expect(here.engine.callOf(id)).toBe(second);
  second.start();
  expect(await settled(here.engine, id)).toMatchObject({ kind: "completed" });
  expect(sent(server)).toBe(1);
});

test("a gateway that stops ends what it has refused before", async () => {
  const { server, here, there } = await two();
  await here.occupy();
  const create = vi.spyOn(here.store, "create");
  here.access.isDeaf = true;
  await expect(here.engine.createTask(here.newCall(), TASK, MAX_BYTES)).rejects.toThrow("no reply");
  here.access.isDeaf = false;
  await here.engine.close();
  const id = create.mock.calls[0]?.[1] ?? "";
  expect((await there.store.read(id))?.outcome).toMatchObject({ kind: "cancelled" });
  expect(sent(server)).toBe(0);
});

test("a task whose creation has not been heard of yet is taken over by nobody who reads it here", async () => {
  const { server, here } = await two();
  await here.occupy();
  const call = here.newCall();
  const create = vi.spyOn(here.store, "create");
  const pause = gate();
  const { create: original } = Object.getPrototypeOf(here.store) as typeof here.store;
  create.mockImplementation(async (...given) => {
    const record = await original.apply(here.store, given);
    await pause.opened;
    return record;
  });
  const adoption = here.engine.createTask(call, TASK, MAX_BYTES);
  await vi.waitUntil(() => create.mock.calls.length === 1, { timeout: 60_000 });
  const id = create.mock.calls[0]?.[1] ?? "";
  const seen = await vi.waitUntil(() => here.engine.seek(id, CLAIMANT), { timeout: 60_000 });
  expect(seen).toMatchObject({ task: { owner: here.store.me } });
  expect(seen?.outcome).toBeUndefined();
  expect(seen?.task.turn).toBeUndefined();
  pause.open();
  expect((await adoption).isUnsent).toBe(true);
  expect(sent(server)).toBe(0);
});

test("a call that has to wait only once it is a task is sent by somebody else, should its gateway die: the record came first", async () => {
  const { server, here, there } = await two();
  const calls = [here.newCall(), here.newCall()] as const;
  const leave = await here.occupy();
  leave();
  // There is a place for either, and not for both.
  const records = await Promise.all(calls.map((call) => here.engine.createTask(call, TASK, MAX_BYTES)));
  expect(records.map(({ isUnsent }) => isUnsent)).toEqual([undefined, undefined]);
  await here.occupy();
  for (const call of calls) call.start();
  for (const { id } of records)
    await vi.waitUntil(async () => (await there.store.read(id))?.task.isUnsent, { timeout: 60_000 });
  await kill(here);
  for (const { id } of records) expect(await settled(there.engine, id)).toMatchObject({ kind: "completed" });
  expect(sent(server)).toBe(2);
});

test("a task of which nobody can say whether it was created is sent by nobody else", async () => {
  const { server, here, there } = await two();
  const leave = await here.occupy();
  const call = here.newCall().start();
  here.access.isDeaf = true;
  await expect(here.engine.createTask(call, TASK, MAX_BYTES)).rejects.toThrow("no reply");
  here.access.isDeaf = false;
  // The client waits for the result instead.
  leave();
  await vi.waitUntil(() => call.end, { timeout: 60_000 });
  expect(call.end).toMatchObject({ kind: "result" });
  await kill(here);
  const left: TaskId[] = [];
  await there.store.orphans(async (id) => {
    left.push(id);
    return false;
  });
  expect(left).toHaveLength(1);
  await there.engine.begin();
  expect((await there.store.read(left[0] ?? ""))?.outcome).toMatchObject({ kind: "lost" });
  expect(sent(server)).toBe(1);
});

test("a call whose turn comes while its record is being written is sent once", async () => {
  const { server, here, there } = await two();
  const leave = await here.occupy();
  const call = here.newCall().start();
  const adoption = here.engine.createTask(call, TASK, MAX_BYTES);
  leave();
  const { id } = await adoption;
  expect(await settled(here.engine, id)).toMatchObject({ kind: "completed" });
  await kill(here);
  await there.engine.begin();
  expect(await settled(there.engine, id)).toMatchObject({ kind: "completed" });
  expect(sent(server)).toBe(1);
});

test("a call whose turn comes is not sent before the store says so, and once, though it said so unheard", async () => {
  const { server, here, there } = await two();
  const leave = await here.occupy();
  const call = here.newCall().start();
  const { id } = await here.engine.createTask(call, TASK, MAX_BYTES);
  here.access.isDeaf = true;
  leave();
  await vi.waitUntil(async () => (await there.store.read(id))?.task.turn === 1, { timeout: 60_000 });
  expect(call.state).toBe("queued");
  expect(sent(server)).toBe(0);
  here.access.isDeaf = false;
  expect(await settled(here.engine, id)).toMatchObject({ kind: "completed" });
  expect((await there.store.read(id))?.task.isUnsent).toBeUndefined();
  expect(sent(server)).toBe(1);
});

test("a call that somebody else has taken over meanwhile is not sent", async () => {
  const { server, here, there } = await two();
  const leave = await here.occupy();
  const call = here.newCall().start();
  const record = await here.engine.createTask(call, TASK, MAX_BYTES);
  const taken = await there.store.takeOver(record, true);
  leave();
  await vi.waitUntil(() => call.end, { timeout: 60_000 });
  expect(call.end).toEqual({ kind: "handedOff" });
  expect((await there.store.read(record.id))?.task).toEqual(taken);
  expect(sent(server)).toBe(0);
});

test("a call that was cancelled elsewhere while it waited is not sent, though nobody here has heard of it", async () => {
  const { server, here, there } = await two();
  const leave = await here.occupy();
  const call = here.newCall().start();
  const { id } = await here.engine.createTask(call, TASK, MAX_BYTES);
  here.access.isCut = true;
  await there.engine.cancel(id, CLAIMANT);
  here.access.isCut = false;
  leave();
  await vi.waitUntil(() => call.end, { timeout: 60_000 });
  expect(call.end).toMatchObject({ kind: "cancelled" });
  await server.arrival("DELETE");
  expect(sent(server)).toBe(0);
});

test("that a call has not been sent is noted later, should the store not take it at first", async () => {
  const { server, here, there, memory } = await two();
  const call = here.newCall();
  const record = await here.engine.createTask(call, TASK, MAX_BYTES);
  const update = vi.spyOn(here.store, "update");
  await here.occupy();
  here.access.isFull = true;
  call.start();
  await vi.waitUntil(() => update.mock.results.length === 1);
  await expect(update.mock.results[0]?.value).rejects.toThrow("full");
  here.access.isFull = false;
  memory.publish({ kind: "missed" });
  await vi.waitUntil(async () => (await there.store.read(record.id))?.task.isUnsent, { timeout: 60_000 });
  await kill(here);
  expect(await settled(there.engine, record.id)).toMatchObject({ kind: "completed" });
  expect(sent(server)).toBe(1);
});

test("a gateway stops though the store is away that its next call waits for, and leaves the call to others", async () => {
  const { server, here, there } = await two();
  const leave = await here.occupy();
  const call = here.newCall().start();
  const { id } = await here.engine.createTask(call, TASK, MAX_BYTES);
  let isClaiming = false;
  const { beforeSend } = call;
  call.beforeSend = () => {
    isClaiming = true;
    return beforeSend?.() ?? Promise.resolve();
  };
  here.access.isCut = true;
  leave();
  await vi.waitUntil(() => isClaiming, { timeout: 60_000 });
  await here.engine.close();
  expect(call.end).toEqual({ kind: "handedOff" });
  here.access.isCut = false;
  await kill(here);
  expect(await settled(there.engine, id)).toMatchObject({ kind: "completed" });
  expect(sent(server)).toBe(1);
});

test("a gateway that stops while a record is being written leaves that task as well", async () => {
  const { server, here, there } = await two();
  await here.occupy();
  const call = here.newCall().start();
  const adoption = here.engine.createTask(call, TASK, MAX_BYTES);
  const closed = here.engine.close();
  const { id } = await adoption;
  await closed;
  expect(call.end).toEqual({ kind: "handedOff" });
  await kill(here);
  expect(await settled(there.engine, id)).toMatchObject({ kind: "completed" });
  expect(sent(server)).toBe(1);
});

test("a gateway that is about to stop takes over nothing", async () => {
  const { server, here, there } = await two();
  await here.occupy();
  const { id } = await here.engine.createTask(here.newCall().start(), TASK, MAX_BYTES);
  there.engine.takeOverNoMore();
  await kill(here);
  await there.engine.begin();
  expect((await there.engine.get(id, CLAIMANT)).task.owner).toBe(here.store.me);
  expect(sent(server)).toBe(0);
});
