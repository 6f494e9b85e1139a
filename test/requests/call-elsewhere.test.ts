/** A round of a call that runs in another gateway, of which this one knows what is in the store. */

import { expect, onTestFinished, test, vi } from "vitest";
import type { ToolPolicy } from "../../src/config/config.ts";
import { createLog } from "../../src/log/log.ts";
import { callMethods } from "../../src/modern/calls.ts";
import { Admission } from "../../src/requests/admission.ts";
import { Fallback } from "../../src/requests/fallback.ts";
import type { Exchange, Services } from "../../src/requests/request.ts";
import { StoreUnavailable } from "../../src/store/task-store.ts";
import { CallsAwaitingInput } from "../../src/tasks/awaiting-input.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { completed, newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";
import { heldCall } from "../support/idle-call.ts";
import { TASKS } from "../support/modern-client.ts";

const CLAIMANT = { route: "r", caller: "c" };
const IDENTITY = { ...CLAIMANT, method: "tools/call", params: { name: "t" } };
const ASKS_ROOTS = { jsonrpc: "2.0", id: 1, method: "roots/list" } as const;
const SESSION = { respond: async () => undefined } as never;
const MAX_BYTES = 1_000;
/** Longer than any test. */
const PATIENT = 60_000;

/** A call that one gateway holds, and whoever comes to another for it. */
async function held() {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const engineOn = async () => {
    const { store, access } = await memory.replica();
    const engine = new TaskEngine({ store, log: createLog("silent") });
    onTestFinished(() => engine.close());
    const rounds = new CallsAwaitingInput(engine);
    onTestFinished(() => rounds.close());
    return { store, access, engine, rounds };
  };
  const [here, there] = [await engineOn(), await engineOn()];
  const call = heldCall({ capabilities: { roots: {} } });
  call.onRequest(ASKS_ROOTS, SESSION);
  const state = await here.rounds.hold(call, IDENTITY, newTask(CLAIMANT), {
    maxResultBytes: MAX_BYTES,
    round: 1,
  });
  const { task } = await there.rounds.resume(state, IDENTITY);
  const [key = ""] = Object.keys(task.inputRequests);
  const answered = () => there.engine.update(task.id, CLAIMANT, { [key]: { roots: [] } });
  return { here, there, call, state, id: task.id, answered, roundOf: (at = there) => round(at, state) };
}

/** A client's round: what it is told, and how to go. */
function round({ engine, rounds }: { engine: TaskEngine; rounds: CallsAwaitingInput }, state: string) {
  const gone = new AbortController();
  const stopping = new AbortController();
  const told: Record<string, unknown>[] = [];
  let isKeptAlive = false;
  const services = {
    engine,
    awaitingInput: rounds,
    stopping: stopping.signal,
    quotas: { pollIntervalMs: () => 0 },
    fallback: new Fallback(Buffer.alloc(32)),
    drain: { intervalMs: (usual: number) => usual, told: () => {} },
  } as unknown as Services;
  const { callTool } = callMethods(services, new Admission(services));
  const come = (waitForMs: number, capabilities: object) =>
    callTool({
      caller: { key: "c", headers: {} },
      owner: CLAIMANT,
      quotaKey: { caller: "c", isIdentified: false },
      envelope: { capabilities },
      method: "tools/call",
      params: { ...IDENTITY.params, requestState: state },
      route: {
        config: { name: "r", tasks: {}, tools: [] },
        policy: () => ({ mode: "auto", waitForMs, maxResultBytes: MAX_BYTES }) as ToolPolicy,
        upstream: { serverInfo: { name: "s", version: "1" } },
      },
      reply: {
        gone: gone.signal,
        keepAlive: () => {
          isKeptAlive = true;
        },
        result: (text: string) => told.push(JSON.parse(text)),
      },
    } as unknown as Exchange);
  return {
    told,
    isKeptAlive: () => isKeptAlive,
    hangUp: () => gone.abort(),
    stop: () => stopping.abort(),
    /** As it comes from a client that knows tasks. */
    attend: (waitForMs: number) => come(waitForMs, TASKS),
    /** From one that does not. */
    come: () => come(PATIENT, {}),
  };
}

test("is asked what the call asks, under a state that any gateway takes", async () => {
  const { here, there, roundOf, id } = await held();
  const one = roundOf();
  await one.attend(PATIENT);
  expect(one.told).toMatchObject([
    { resultType: "input_required", inputRequests: { "roots-1": { method: "roots/list" } } },
  ]);
  for (const { rounds } of [here, there])
    expect((await rounds.resume(one.told[0]?.requestState, IDENTITY)).task.id).toBe(id);
});

test("waits once that is answered, and is asked what comes next", async () => {
  const { answered, roundOf, call } = await held();
  await answered();
  await vi.waitUntil(() => !call.isAsking);
  const one = roundOf();
  const attended = one.attend(PATIENT);
  call.onRequest({ ...ASKS_ROOTS, id: 2 }, SESSION);
  await attended;
  expect(one.told).toMatchObject([{ inputRequests: { "roots-2": {} } }]);
});

test("is told the result", async () => {
  const { here, answered, roundOf, id } = await held();
  await answered();
  const one = roundOf();
  const attended = one.attend(PATIENT);
  const { task } = await here.engine.get(id, CLAIMANT);
  await here.store.end(task, completed({ content: [] }));
  await attended;
  expect(one.told).toMatchObject([{ resultType: "complete", content: [] }]);
});

test("is told what became of a call that was cancelled", async () => {
  const { call, answered, roundOf } = await held();
  await answered();
  const attended = roundOf().attend(PATIENT);
  call.cancel("for the test");
  await expect(attended).rejects.toThrow("The call was cancelled: for the test");
});

test("is given a handle when it takes too long, and so is every round after that", async () => {
  const { there, answered, roundOf, id } = await held();
  await answered();
  const one = roundOf();
  await one.attend(1);
  expect(one.told).toMatchObject([{ resultType: "task", taskId: id, status: "working" }]);
  expect(await there.engine.isTold(id)).toBe(true);
});

test("takes the call with it when its client hangs up", async () => {
  const { there, call, answered, roundOf, id } = await held();
  await answered();
  const one = roundOf();
  const attended = one.attend(PATIENT);
  one.hangUp();
  await attended;
  expect((await there.engine.get(id, CLAIMANT)).outcome).toMatchObject({ kind: "cancelled" });
  await vi.waitUntil(() => call.end?.kind === "cancelled");
  expect(one.told).toEqual([]);
});

test("leaves a call alone of which its client has a handle by now", async () => {
  const { there, call, answered, roundOf, id } = await held();
  await answered();
  const [leaves, stays] = [roundOf(), roundOf()];
  const attended = leaves.attend(PATIENT);
  await stays.attend(1);
  leaves.hangUp();
  await attended;
  expect((await there.engine.get(id, CLAIMANT)).outcome).toBeUndefined();
  expect(call.end).toBeUndefined();
});

test("is sent to another gateway when this one is about to stop, and the call goes on", async () => {
  const { there, call, answered, roundOf, id } = await held();
  await answered();
  const one = roundOf();
  const attended = one.attend(PATIENT);
  one.stop();
  await expect(attended).rejects.toMatchObject({ message: expect.stringContaining("try again") });
  expect((await there.engine.get(id, CLAIMANT)).outcome).toBeUndefined();
  expect(call.end).toBeUndefined();
});

test("is told to try again when the store does not answer", async () => {
  const { there, answered, roundOf } = await held();
  await answered();
  there.access.isCut = true;
  const one = roundOf();
  await expect(one.attend(PATIENT)).rejects.toThrow(StoreUnavailable);
  expect(one.told).toEqual([]);
});

test("leaves nothing behind that watches", async () => {
  const { there, answered, roundOf } = await held();
  await answered();
  const watched = new Set<string>();
  const watch = there.engine.watch.bind(there.engine);
  vi.spyOn(there.engine, "watch").mockImplementation((id, changed) => {
    const stop = watch(id, changed);
    watched.add(id);
    return () => {
      watched.delete(id);
      stop();
    };
  });
  await roundOf().attend(1);
  expect(there.engine.watch).toHaveBeenCalledOnce();
  expect(watched.size).toBe(0);
});

test("at the very gateway of the call is not told how that ended before it is written down", async () => {
  const { here, there, call, id, answered, roundOf } = await held();
  await answered();
  await vi.waitUntil(() => !call.isAsking);
  here.access.isFull = true;
  call.cancel("for the test");
  const told = roundOf(here)
    .come()
    .catch(async ({ message }: Error) => ({ message, written: (await there.store.read(id))?.outcome?.kind }));
  await here.engine.get(id, CLAIMANT);
  here.access.isFull = false;
  expect(await told).toEqual({
    message: expect.stringContaining("cancelled: for the test"),
    written: "cancelled",
  });
});

test("at a gateway that has to leave the call waits for whoever goes on with it, or goes there", async () => {
  const { call, answered, roundOf, here } = await held();
  await answered();
  await vi.waitUntil(() => !call.isAsking);
  const one = roundOf(here);
  const attended = one.come();
  await vi.waitUntil(() => one.isKeptAlive());
  call.handOff();
  one.stop();
  await expect(attended).rejects.toMatchObject({ message: expect.stringContaining("try again") });
});
