import { describe, expect, onTestFinished, test } from "vitest";
import { type JsonText, toJson } from "../../src/protocol/jsonrpc.ts";
import type { StoreOptions } from "../../src/store/options.ts";
import {
  type InputRequest,
  type NewTask,
  type Nudge,
  type Outcome,
  StoreUnavailable,
  type TaskStore,
} from "../../src/store/task-store.ts";
import { completed, everyRequest, newTask } from "../store/samples.ts";
import { outboxContract } from "./outbox.ts";
import { subscriptionsContract } from "./subscriptions.ts";
import { taskListContract } from "./task-list.ts";

/**
 * What every task store promises. `open` gives an empty store; the suite closes it. `isShared`: whether other processes may use it
 * as well; unless it is given, they may not.
 */
export function taskStoreContract(
  name: string,
  open: (options?: StoreOptions) => Promise<TaskStore>,
  { isShared = false }: { readonly isShared?: boolean } = {},
): void {
  const opened = async (options?: StoreOptions) => {
    const store = await open(options);
    onTestFinished(() => store.close());
    return store;
  };
  /** A store whose clock stands still until it is told to move. */
  const openedAt = async (start: number) => {
    const time = { now: start };
    return { time, store: await opened({ clock: () => time.now }) };
  };

  taskListContract(name, open);
  outboxContract(name, open);
  subscriptionsContract(name, open);

  test(`${name}: its secret is drawn once`, async () => {
    const store = await opened();
    const secrets = await Promise.all([store.secret(), store.secret()]);
    expect(secrets.map(({ length }) => length)).toEqual([32, 32]);
    expect([secrets[1], await store.secret()]).toEqual([secrets[0], secrets[0]]);
  });

  describe(`${name}: the index of all tasks`, () => {
    test("has them all, the last created first, in parts", async () => {
      const time = { now: 1_800_000_000_000 };
      const store = await opened({ clock: () => time.now, isIndexed: true });
      const ids: string[] = [];
      for (let n = 0; n < 5; n += 1) {
        time.now += 1_000;
        const task = await store.create(newTask({ caller: `caller-${n}` }));
        if (n === 2) await store.end(task, { ...completed("done"), endedAt: time.now });
        ids.unshift(task.id);
      }
      const first = await store.newest(3);
      expect(first.map(({ id }) => id)).toEqual(ids.slice(0, 3));
      expect(first[0]?.createdAt).toBe(time.now);
      const rest = await store.newest(3, first.at(-1));
      expect(rest.map(({ id }) => id)).toEqual(ids.slice(3));
      expect(await store.newest(3, rest.at(-1))).toEqual([]);
    });

    test("is empty unless it is kept", async () => {
      const store = await opened();
      await store.create(newTask());
      expect(await store.newest(3)).toEqual([]);
    });

    test("knows the gateway itself", async () => {
      const facts = { host: "here", pid: 7, version: "1", startedAt: 1 };
      const store = await opened({ facts });
      expect(await store.replicas()).toContainEqual({
        ...facts,
        id: store.me,
        isMe: true,
        isAlive: true,
        tasks: 0,
      });
    });
  });

  describe(`${name}: a task that several may create`, () => {
    const keyed = (creation: string, more: Partial<NewTask> = {}) =>
      newTask({ ...more, idempotency: { fingerprint: "f", creation } });

    test("is the first one's, for all of them", async () => {
      const { store } = await openedAt(1_800_000_000_000);
      const id = store.newId();
      const creations = ["a", "b", "c"].map((creation) => store.createOnce(keyed(creation), id));
      const [first, ...others] = await Promise.all(creations);
      expect(first?.task).toMatchObject({ id, owner: store.me, createdAt: 1_800_000_000_000 });
      expect(others).toEqual([first, first]);
      expect(await store.read(id)).toEqual(first);
      expect(await store.createOnce(keyed("d"), id)).toEqual(first);
    });

    test("may be asked for again by who did not hear that it was created", async () => {
      const store = await opened();
      const id = store.newId();
      const first = await store.createOnce(keyed("a"), id);
      expect(await store.createOnce(keyed("a"), id)).toEqual(first);
    });

    test("is given with its outcome, and with what its owner wrote since", async () => {
      const store = await opened();
      const id = store.newId();
      const { task } = (await store.createOnce(keyed("a"), id)) ?? {};
      if (task === undefined) throw new Error("it was not created");
      const running = await store.update(task, { statusMessage: "half way" });
      expect((await store.createOnce(keyed("b"), id))?.task).toEqual(running);
      await store.end(running, completed("done"));
      expect(await store.createOnce(keyed("b"), id)).toMatchObject({ outcome: { kind: "completed" } });
    });

    test("cannot be created anew while anything of an expired one is left", async () => {
      const { time, store } = await openedAt(1_800_000_000_000);
      const id = store.newId();
      const created = await store.createOnce(keyed("a"), id);
      const taken = created && (await store.takeOver(created.task));
      if (taken === undefined) throw new Error("it was not taken over");
      await store.end(taken, { ...completed("done"), endedAt: time.now });
      time.now += taken.terms.ttlMs + 1;
      expect(await store.read(id)).toBeUndefined();
      expect(await store.createOnce(keyed("b"), id)).toBeUndefined();
    });
  });

  describe(`${name}: the owner's record`, () => {
    test("a task is read as it was created", async () => {
      const { store } = await openedAt(1_800_000_000_000);

      const task = await store.create(newTask({ statusMessage: "queued" }));

      expect(task).toEqual({
        ...newTask(),
        statusMessage: "queued",
        id: task.id,
        owner: store.me,
        createdAt: 1_800_000_000_000,
        updatedAt: 1_800_000_000_000,
        inputRequests: {},
      });
      expect(await store.read(task.id)).toEqual({ task });
    });

    test("ids are 144 random bits in the letters of base64url", async () => {
      const store = await opened();

      const tasks = await Promise.all(Array.from({ length: 200 }, () => store.create(newTask())));

      expect(new Set(tasks.map(({ id }) => id)).size).toBe(200);
      expect(tasks.filter(({ id }) => !/^[A-Za-z0-9_-]{24}$/.test(id))).toEqual([]);
    });

    test("an update changes what it names and the time of the last change", async () => {
      const { store, time } = await openedAt(1_000_000);
      const task = await store.create(newTask({ statusMessage: "starting" }));

      time.now += 500;
      const asked = await store.update(task, { inputRequests: { name: question("name?") } });
      time.now += 500;
      const told = await store.update(asked, { statusMessage: "half way" });

      expect(asked).toEqual({ ...task, updatedAt: 1_000_500, inputRequests: { name: question("name?") } });
      expect(told).toEqual({ ...asked, updatedAt: 1_001_000, statusMessage: "half way" });
      expect(await store.read(task.id)).toEqual({ task: told });
    });

    test("a status message of undefined is not a change", async () => {
      const store = await opened();
      const task = await store.create(newTask({ statusMessage: "starting" }));

      const change = { statusMessage: undefined } as unknown as { statusMessage: string };
      await store.update(task, change);

      expect((await store.read(task.id))?.task.statusMessage).toBe("starting");
    });

    test("a clock that is set back does not take the time of the last change back", async () => {
      const { store, time } = await openedAt(1_000_000);
      const task = await store.create(newTask());
      time.now = 1_000_700;
      const changed = await store.update(task, { statusMessage: "one" });

      time.now = 400;
      const again = await store.update(changed, { statusMessage: "two" });

      expect(again.updatedAt).toBe(1_000_700);
      expect((await store.update(task, { statusMessage: "three" })).updatedAt).toBe(1_000_000);
    });

    test("how a task ended can be told after its time", async () => {
      const { store, time } = await openedAt(1_000_000);
      const [task, other] = [await store.create(newTask()), await store.create(newTask())];
      const outcome: Outcome = { kind: "cancelled", endedAt: 1_000_000 };
      await store.end(task, outcome);
      time.now += task.terms.ttlMs + 1;
      expect(await store.read(task.id)).toBeUndefined();
      expect([await store.ending(task.id), await store.ending(other.id)]).toEqual([outcome, undefined]);
    });

    test("fields it does not know are kept", async () => {
      const store = await opened();
      const task = await store.create({ ...newTask(), later: { version: 2 } } as NewTask);

      expect((await store.read(task.id))?.task).toMatchObject({ later: { version: 2 } });
    });

    test("its own replica is alive, and in a store of one process nobody else is", async () => {
      const store = await opened();

      expect(await store.isAlive(store.me)).toBe(true);
      // Who has only just come to a shared store cannot know yet.
      expect(await store.isAlive("somebody-else")).toBe(isShared);
    });
  });

  describe(`${name}: endings`, () => {
    test.each<Outcome>([
      { kind: "completed", endedAt: 2_000_000, result: toJson({ content: [] }) },
      { kind: "completed", endedAt: 2_000_000, result: toJson({ isError: true }), failure: "no paper" },
      { kind: "failed", endedAt: 2_000_000, error: { code: -32603, message: "no", data: { at: [1] } } },
      { kind: "cancelled", endedAt: 2_000_000, reason: "not needed any more" },
      { kind: "cancelled", endedAt: 2_000_000 },
      { kind: "lost", endedAt: 2_000_000, reason: "the gateway stopped" },
    ])("an outcome is read as it was given: %j", async (outcome) => {
      const { store } = await openedAt(2_000_000);
      const task = await store.create(newTask());

      expect(await store.end(task, outcome)).toEqual(outcome);
      expect(await store.read(task.id)).toEqual({ task, outcome });
    });

    test("of hundreds of endings at once one stands, and everyone is told the same", async () => {
      const store = await opened();
      const task = await store.create(newTask());

      const told = await Promise.all(
        Array.from({ length: 400 }, (_, n) => store.end(task, completed({ n }))),
      );

      expect(new Set(told.map((outcome) => toJson(outcome))).size).toBe(1);
      expect((await store.read(task.id))?.outcome).toEqual(told[0]);
    });

    test("many tasks ended by many at once each get one outcome", async () => {
      const store = await opened();
      const tasks = await Promise.all(Array.from({ length: 50 }, () => store.create(newTask())));

      const told = await Promise.all(
        tasks.map((task) =>
          Promise.all(Array.from({ length: 8 }, (_, n) => store.end(task, completed({ n, of: task.id })))),
        ),
      );

      const views = await Promise.all(tasks.map(({ id }) => store.read(id)));
      expect(told).toEqual(views.map((view) => Array.from({ length: 8 }, () => view?.outcome)));
    });

    test("an ending stands against every later one", async () => {
      const store = await opened();
      const task = await store.create(newTask());
      const first = await store.end(task, completed("first"));

      const second = await store.end(task, { kind: "cancelled", endedAt: Date.now() });

      expect(second).toEqual(first);
      expect((await store.read(task.id))?.outcome).toEqual(first);
    });

    test("an update after the end changes nothing that can be read", async () => {
      const store = await opened();
      const task = await store.create(newTask({ statusMessage: "working" }));
      await store.end(task, completed("done"));
      const before = await store.read(task.id);

      await store.update(task, { statusMessage: "late", inputRequests: { name: question("name?") } });

      expect(before?.outcome?.kind).toBe("completed");
      expect(await store.read(task.id)).toEqual(before);
    });

    test("a task that has ended asks nothing", async () => {
      const store = await opened();
      const task = await store.create(newTask({ inputRequests: { name: question("name?") } }));

      await store.end(task, completed("done"));

      expect((await store.read(task.id))?.task.inputRequests).toEqual({});
    });

    test.each<[string, string]>([
      ["unusual text", String.raw`{ "a" : 1.0, "a": 1e2, "\u0041":"\ud800", "b":[ ] }`],
      ["characters of every length", toJson({ text: 'aäß→漢字👩‍👩‍👧\u0000\u2028\uFEFF"\\\n' })],
      ["a megabyte", toJson({ text: '0123456789äöü→👋"\\'.repeat(60_000) })],
    ])("a result is kept byte for byte: %s", async (_, text) => {
      const store = await opened();
      const task = await store.create(newTask());

      await store.end(task, { kind: "completed", endedAt: Date.now(), result: text as JsonText });

      const outcome = (await store.read(task.id))?.outcome as Extract<Outcome, { kind: "completed" }>;
      expect(Buffer.from(outcome.result).equals(Buffer.from(text))).toBe(true);
    });
  });

  describe(`${name}: questions and answers`, () => {
    const asking = newTask({ inputRequests: { name: question("name?"), age: question("age?") } });

    test("an answered question is gone from the very next read", async () => {
      const store = await opened();
      const task = await store.create(asking);

      await store.answer(task, "name", { result: { action: "accept", content: { name: "Ada" } } });

      expect((await store.read(task.id))?.task.inputRequests).toEqual({ age: question("age?") });
      await store.answer(task, "age", { result: { action: "decline" } });
      expect((await store.read(task.id))?.task.inputRequests).toEqual({});
    });

    test("answers are given back by key, those of unanswered keys left out", async () => {
      const store = await opened();
      const task = await store.create(asking);
      await store.answer(task, "name", { result: { action: "accept", content: { name: "Ada" } } });

      const answers = await store.answers(task.id, ["name", "age"]);

      const name = { result: { action: "accept", content: { name: "Ada" } } };
      expect([...answers]).toEqual([["name", name]]);
      expect((await store.answers(task.id, [])).size).toBe(0);
    });

    test("an answer may be an error, and takes its question away like any other", async () => {
      const store = await opened();
      const task = await store.create(asking);
      const refusal = { error: { code: -1, message: "User rejected sampling request", data: { at: [1] } } };

      await store.answer(task, "name", refusal);
      await store.answer(task, "name", { result: { action: "accept" } });

      expect([...(await store.answers(task.id, ["name", "age"]))]).toEqual([["name", refusal]]);
      expect((await store.read(task.id))?.task.inputRequests).toEqual({ age: question("age?") });
    });

    test("the first answer stands, also of many at once", async () => {
      const store = await opened();
      const task = await store.create(asking);
      await Promise.all(Array.from({ length: 100 }, (_, n) => store.answer(task, "age", { result: { n } })));
      const first = await store.answers(task.id, ["age"]);

      await store.answer(task, "age", { result: { n: "late" } });

      expect(first.get("age")).toEqual({ result: { n: expect.any(Number) } });
      expect(await store.answers(task.id, ["age"])).toEqual(first);
    });

    test("any string is a key of a question", async () => {
      const store = await opened();
      const keys = ["__proto__", "constructor", "a:b", "", "ключ 🔑", "0"];
      const inputRequests = Object.fromEntries(keys.map((key) => [key, question(key)]));
      const task = await store.create(newTask({ inputRequests }));
      expect(Object.keys((await store.read(task.id))?.task.inputRequests ?? {}).sort()).toEqual(
        keys.toSorted(),
      );

      for (const key of keys) await store.answer(task, key, { result: { answered: key } });

      expect(Object.keys((await store.read(task.id))?.task.inputRequests ?? { none: 0 })).toEqual([]);
      const answers = await store.answers(task.id, keys);
      expect(keys.map((key) => answers.get(key))).toEqual(keys.map((key) => ({ result: { answered: key } })));
    });

    test("answers to one task are not seen by another", async () => {
      const store = await opened();
      const [one, other] = [await store.create(asking), await store.create(asking)];

      await store.answer(one, "name", { result: { action: "cancel" } });

      expect((await store.read(other.id))?.task.inputRequests).toEqual(asking.inputRequests);
    });
  });

  describe(`${name}: expiry`, () => {
    const terms = { ...newTask().terms, ttlMs: 10_000, maxRuntimeMs: 5_000 };

    test("a finished task stays for its ttl from the end, however long it ran", async () => {
      const { store, time } = await openedAt(Date.now());
      const task = await store.create(newTask({ terms }));
      time.now += 4_900;
      await store.end(task, { kind: "completed", endedAt: time.now, result: toJson("done") });

      time.now += 10_000;
      expect((await store.read(task.id))?.outcome).toMatchObject({ result: '"done"' });
      time.now += 1;
      expect(await store.read(task.id)).toBeUndefined();
    });

    test("a late update does not lengthen the stay of a finished task", async () => {
      const { store, time } = await openedAt(Date.now());
      const task = await store.create(newTask({ terms }));
      await store.end(task, { kind: "completed", endedAt: time.now, result: toJson("done") });
      time.now += 9_000;
      await store.update(task, { statusMessage: "late" });

      time.now += 1_001;

      expect(await store.read(task.id)).toBeUndefined();
    });

    test("an unfinished task stays for a run and a ttl from its last change", async () => {
      const { store, time } = await openedAt(Date.now());
      const task = await store.create(newTask({ terms }));
      time.now += 15_000;
      const changed = await store.update(task, { statusMessage: "still there" });

      time.now += 15_000;
      expect(await store.read(task.id)).toEqual({ task: changed });
      time.now += 1;
      expect(await store.read(task.id)).toBeUndefined();
    });
  });

  describe(`${name}: ids from outside`, () => {
    test.each([
      ["unknown", "AAAAAAAAAAAAAAAAAAAAAAAA"],
      ["empty", ""],
      ["a prototype", "__proto__"],
      ["a method", "toString"],
      ["very long", "a".repeat(1_000_000)],
      ["with colons", "task:end:in"],
      ["a path", "../../etc/passwd"],
      ["with a NUL", "a\u0000b"],
      ["with a line feed", "AAAAAAAAAAAAAAAAAAAAAAAA\n"],
      ["not ASCII", "ümläut👋"],
    ])("%s: there is no such task", async (_, id) => {
      const store = await opened();

      expect(await store.read(id)).toBeUndefined();
      expect((await store.answers(id, ["name", "__proto__"])).size).toBe(0);
    });

    test("a key cannot be reached by way of a longer id", async () => {
      const store = await opened();
      const task = await store.create(newTask({ inputRequests: { "a:b": question("?") } }));
      await store.answer(task, "a:b", { result: { secret: true } });

      expect((await store.answers(`${task.id}:a`, ["b"])).size).toBe(0);
      expect(await store.read(`${task.id} `)).toBeUndefined();
    });
  });

  describe(`${name}: nudges`, () => {
    test("every change is told after it can be read", async () => {
      const store = await opened();
      const task = await store.create(newTask({ inputRequests: { name: question("name?") } }));
      const seen: Promise<[string, string | undefined, number, string | undefined]>[] = [];
      const look = async (nudge: Nudge) => {
        if (!("id" in nudge)) throw new Error(`nobody left, and nothing was missed: ${nudge.kind}`);
        const { kind, id } = nudge;
        const view = await store.read(id);
        const open = Object.keys(view?.task.inputRequests ?? {}).length;
        return [kind, view?.task.statusMessage, open, view?.outcome?.kind] as [
          string,
          string,
          number,
          string,
        ];
      };
      store.watch((nudge) => seen.push(look(nudge)));

      const told = await store.update(task, { statusMessage: "half way" });
      await Promise.all(seen);
      await store.answer(task, "name", { result: { action: "accept" } });
      await Promise.all(seen);
      await store.end(told, completed("done"));

      expect(await Promise.all(seen)).toEqual([
        ["changed", "half way", 1, undefined],
        ["answered", "half way", 0, undefined],
        ["ended", "half way", 0, "completed"],
      ]);
    });

    test("a nudge comes before the writer hears that the write is done", async () => {
      const store = await opened();
      const task = await store.create(newTask());
      const nudges: Nudge[] = [];
      store.watch((nudge) => nudges.push(nudge));

      await store.end(task, completed("done"));

      expect(nudges).toEqual([{ kind: "ended", id: task.id }]);
    });

    test("nothing comes after watching has stopped, and the others go on", async () => {
      const store = await opened();
      const task = await store.create(newTask());
      const heard: string[] = [];
      const listener = () => heard.push("one");
      const stop = store.watch(listener);
      store.watch(listener);

      await store.update(task, { statusMessage: "1" });
      stop();
      stop();
      await store.update(task, { statusMessage: "2" });

      expect(heard).toEqual(["one", "one", "one"]);
    });

    test("a listener that throws is warned about and breaks neither the write nor the others", async () => {
      const store = await opened();
      const task = await store.create(newTask());
      const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
      const heard: Nudge[] = [];
      store.watch(() => {
        throw new Error("a listener's own fault");
      });
      store.watch((nudge) => heard.push(nudge));

      const changed = await store.update(task, { statusMessage: "still fine" });

      expect(changed.statusMessage).toBe("still fine");
      expect(heard).toHaveLength(1);
      expect((await warned).message).toBe("a listener's own fault");
    });
  });

  describe(`${name}: closing`, () => {
    test("a closed store rejects everything with StoreUnavailable", async () => {
      const store = await open();
      const task = await store.create(newTask());
      await store.close();

      const calls = everyRequest(store, task);

      const errors = await Promise.all(calls.map((call) => call.catch((error: unknown) => error)));
      expect(errors.map((error) => error instanceof StoreUnavailable)).toEqual(calls.map(() => true));
      expect(String(errors[0])).toBe(`StoreUnavailable: store ${store.url}: closed`);
    });

    test("what had begun is done before the store is closed", async () => {
      const store = await open();
      const task = await store.create(newTask());
      const endings = Array.from({ length: 50 }, (_, n) => store.end(task, completed({ n })));

      await store.close();

      const told = await Promise.all(endings);
      expect(new Set(told.map((outcome) => toJson(outcome))).size).toBe(1);
    });

    test("closing twice is closing once", async () => {
      const store = await open();

      await expect(Promise.all([store.close(), store.close()])).resolves.toBeDefined();
      await expect(store.close()).resolves.toBeUndefined();
    });
  });
}

function question(message: string): InputRequest {
  return {
    method: "elicitation/create",
    params: { mode: "form", message, requestedSchema: { type: "object" } },
  };
}
