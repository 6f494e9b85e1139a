import { createSecretKey, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Keyring } from "../../src/store/keyring.ts";
import { KeyvBackend } from "../../src/store/keyv-backend.ts";
import { MemoryStorage } from "../../src/store/memory.ts";
import { openStore } from "../../src/store/open.ts";
import { sealedOrPlain } from "../../src/store/sealed.ts";
import { SealedBackend } from "../../src/store/sealed-backend.ts";
import { StoreUnavailable, UnreadableValue } from "../../src/store/task-store.ts";
import { taskStoreContract } from "../contracts/task-store.ts";
import { directory } from "./places.ts";
import { completed, newTask } from "./samples.ts";

const TTL_MS = 60_000;
const [OLD, NEW, OTHER] = [newKey(), newKey(), newKey()];

taskStoreContract("sealed level", async (options) =>
  openStore(`level:${await directory()}`, { ...options, encryptionKeys: [OLD] }),
);

test("what is stored is read as it was, and is nothing like it in the store", async () => {
  const { storage, sealed } = opened([OLD]);
  const values = [{}, { a: "ünïcode \u{1f511}", b: [1, null, true] }, { long: "x".repeat(300_000) }];

  for (const [n, value] of values.entries()) await sealed.set(`task:${n}`, value, TTL_MS);

  expect(await sealed.getMany(["task:0", "task:none", "task:1", "task:2"])).toEqual([
    values[0],
    undefined,
    ...values.slice(1),
  ]);
  for (const n of values.keys()) {
    expect(stored(storage, `task:${n}`)).toEqual({
      kid: new Keyring([OLD]).current,
      iv: expect.stringMatching(/^[\w-]{38}$/),
      data: expect.stringMatching(/^[\w-]+$/),
    });
  }
});

test("the same value is never encrypted to the same text", async () => {
  const { storage, sealed } = opened([OLD]);
  const seen = new Set<string>();
  for (let n = 0; n < 100; n++) {
    await sealed.set("task:a", { secret: "same" }, TTL_MS);
    const { iv, data } = stored(storage, "task:a");
    seen.add(String(iv)).add(String(data));
  }
  expect(seen.size).toBe(200);
});

test("everybody who claims a key is told what stands, also in another key's time", async () => {
  const { backend, sealed } = opened([OLD]);
  const later = new SealedBackend({ url: "test:", backend, keyring: new Keyring([NEW, OLD]) });

  const claims = await Promise.all([1, 2, 3].map((n) => sealed.claim("end:a", { n }, TTL_MS)));

  expect(claims).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }]);
  expect(await later.claim("end:a", { n: 4 }, TTL_MS)).toEqual({ n: 1 });
});

test("the first key writes, and all keys read", async () => {
  const { storage, backend, sealed } = opened([OLD]);
  await sealed.set("task:old", { n: 1 }, TTL_MS);
  const both = new SealedBackend({ url: "test:", backend, keyring: new Keyring([NEW, OLD]) });
  await both.set("task:new", { n: 2 }, TTL_MS);

  expect(await both.getMany(["task:old", "task:new"])).toEqual([{ n: 1 }, { n: 2 }]);
  expect(stored(storage, "task:new").kid).toBe(new Keyring([NEW]).current);
  const alone = new SealedBackend({ url: "test:", backend, keyring: new Keyring([NEW]) });
  expect(await alone.getMany(["task:new"])).toEqual([{ n: 2 }]);
  await expect(alone.getMany(["task:old"])).rejects.toThrow(StoreUnavailable);
});

test("what was written before there was a key is read where that is wanted, and what is claimed stands", async () => {
  const { backend } = opened([OLD]);
  const sealed = new SealedBackend({
    url: "test:",
    backend,
    keyring: new Keyring([OLD]),
    acceptsPlaintext: true,
  });
  await backend.set("task:a", { kid: "a", iv: 1, data: "b" }, TTL_MS);
  await backend.claim("end:a", { n: 1 }, TTL_MS);

  expect(await sealed.getMany(["task:a"])).toEqual([{ kid: "a", iv: 1, data: "b" }]);
  expect(await sealed.claim("end:a", { n: 2 }, TTL_MS)).toEqual({ n: 1 });
});

const KINDS = [
  "task:a",
  "task:a:1",
  "end:a",
  "own:a:1",
  "in:a:name",
  "recipe:a",
  "told:a",
  "secret",
  "replica:a",
];

test.each([
  ["an object", { n: 1 }],
  ["one with more than a sealed value has", { kid: "a", iv: "b", data: "c", more: 1 }],
  ["one with members of another type", { kid: "a", iv: 1, data: "c" }],
  ["an empty one", {}],
])("%s that is not encrypted is believed under no name", async (_, value) => {
  const { backend, sealed } = opened([OLD]);
  for (const key of KINDS) {
    await backend.set(key, value, TTL_MS);
    await expect(sealed.getMany(["task:none", key])).rejects.toThrow(NOT_ENCRYPTED);
    await expect(sealed.claim(key, { n: 2 }, TTL_MS)).rejects.toThrow(NOT_ENCRYPTED);
  }
});

const NOT_ENCRYPTED = new UnreadableValue(
  "store test:: a value is not encrypted, and is not believed without store.acceptPlaintext",
);
const UNKNOWN_KEY =
  /^store test:: a value is encrypted with key [\w-]{12}, which is none of the encryptionKeys$/;
const NO_KEYS = /^store test:: a value is encrypted with key [\w-]{12}, and there are no encryptionKeys$/;
const CHANGED =
  /^store test:: a value is encrypted with key [\w-]{12}, which does not open it: it is not what was written there$/;

const SAME = (value: Sealed): Sealed => value;

test.each<[string, Keyring | undefined, (value: Sealed) => Sealed, RegExp]>([
  ["a key that is not given", new Keyring([NEW]), SAME, UNKNOWN_KEY],
  ["no key at all", undefined, SAME, NO_KEYS],
  ["a flipped bit", new Keyring([OLD]), (value) => ({ ...value, data: flipped(value.data) }), CHANGED],
  ["a cut end", new Keyring([OLD]), (value) => ({ ...value, data: value.data.slice(0, -4) }), CHANGED],
  ["nothing left but four bytes", new Keyring([OLD]), (value) => ({ ...value, data: "AAAAAA" }), CHANGED],
  ["nothing left", new Keyring([OLD]), (value) => ({ ...value, iv: "", data: "" }), CHANGED],
  ["another nonce", new Keyring([OLD]), (value) => ({ ...value, iv: flipped(value.iv) }), CHANGED],
  [
    "a key of no name",
    new Keyring([OLD]),
    (value) => ({ ...value, kid: "a\nb" }),
    /with key of no name, which is none/,
  ],
])("%s makes a value one that cannot be read, and says so", async (_, keyring, change, message) => {
  const { storage, backend, sealed } = opened([OLD]);
  await sealed.set("end:a", { secret: "marked" }, TTL_MS);
  storage.set("end:a", inKeyv(change(stored(storage, "end:a"))), TTL_MS);
  const reader = new SealedBackend({ url: "test:", backend, keyring });

  const errors = await Promise.all([
    reader.getMany(["end:a"]).catch((error: unknown) => error),
    reader.claim("end:a", { n: 1 }, TTL_MS).catch((error: unknown) => error),
  ]);

  expect(errors.map((error) => error instanceof StoreUnavailable)).toEqual([true, true]);
  const said = errors.map((error) => (error instanceof Error ? [error.message, error.cause] : []));
  expect(said).toEqual(Array(2).fill([expect.stringMatching(message), undefined]));
});

test("a value that is moved to another task is not read there", async () => {
  const { storage, sealed } = opened([OLD]);
  await sealed.set("task:mine", { owner: "me" }, TTL_MS);
  storage.set("task:yours", storage.get("task:mine") ?? "", TTL_MS);

  await expect(sealed.getMany(["task:yours"])).rejects.toThrow(CHANGED);
  expect(await sealed.getMany(["task:mine"])).toEqual([{ owner: "me" }]);
});

test("lists, hints and the end pass through as they are", async () => {
  const { backend, sealed } = opened([OLD]);
  const heard: unknown[] = [];
  const stop = sealed.watch((nudge) => heard.push(nudge));

  await sealed.set("task:a", {}, TTL_MS, [{ list: "l", member: "a", ttlMs: TTL_MS }]);
  await sealed.claim("end:b", {}, TTL_MS, [{ list: "l", member: "b", ttlMs: TTL_MS }]);
  expect(await backend.list("l", "", 10)).toEqual(["a", "b"]);
  await sealed.unlist("l", "a");
  expect(await sealed.list("l", "", 10)).toEqual(["b"]);

  sealed.publish({ kind: "ended", id: "a" });
  stop();
  sealed.publish({ kind: "ended", id: "b" });
  expect(heard).toEqual([{ kind: "ended", id: "a" }]);

  expect(sealed.isShared).toBe(backend.isShared);
  await sealed.close();
  await expect(backend.getMany(["task:a"])).rejects.toThrow(StoreUnavailable);
});

test("keys of another length, or none, are refused", () => {
  for (const keys of [[], [createSecretKey(randomBytes(16))], [OLD, createSecretKey(randomBytes(64))]])
    expect(() => new Keyring(keys)).toThrow("encryption keys must be one or more, of 32 bytes each");
});

test("a wrong key stops the start and leaves the store to the right one", async () => {
  const url = `level:${await directory()}`;
  const task = await during(url, [OLD], (store) => store.create(newTask()));

  await expect(openStore(url, { encryptionKeys: [OTHER, NEW] })).rejects.toThrow(
    new Error(
      `store ${url}: encryptionKeys: none of the keys opens what is stored there; give the key that it was written with as well, or begin with an empty store`,
    ),
  );
  await expect(openStore(url)).rejects.toThrow(
    new Error(
      `store ${url}: encryptionKeys: not given, and what is stored there is encrypted; give the keys, or begin with an empty store`,
    ),
  );

  expect(await during(url, [OLD], (store) => store.read(task.id))).toEqual({ task });
});

test("keys are changed in two starts, and then the old one is not needed", async () => {
  const url = `level:${await directory()}`;
  const old = await during(url, [OLD], (store) => store.create(newTask()));
  const young = await during(url, [NEW, OLD], async (store) => {
    expect(await store.read(old.id)).toEqual({ task: old });
    return store.create(newTask());
  });

  await during(url, [NEW], async (store) => {
    expect(await store.read(young.id)).toEqual({ task: young });
    await expect(store.read(old.id)).rejects.toThrow(StoreUnavailable);
  });
  await expect(openStore(url, { encryptionKeys: [OLD] })).rejects.toThrow("none of the keys opens");
});

test("encryption is switched on over tasks that are there", async () => {
  const url = `level:${await directory()}`;
  const [plain, left, secret] = await during(url, undefined, async (store) => [
    await store.create(newTask()),
    await store.create(newTask()),
    await store.secret(),
  ]);
  await expect(during(url, [OLD], (store) => store.secret())).rejects.toThrow("is not believed");

  const migrating = { encryptionKeys: [OLD], acceptsPlaintext: true };
  await during(url, migrating, async (store) => {
    expect(store.isSealed).toBe(true);
    expect(await store.secret()).toEqual(secret);
    expect(await store.end(plain, completed("done"))).toMatchObject({ kind: "completed" });
    expect(await store.read(plain.id)).toMatchObject({ outcome: { kind: "completed" } });
  });

  // Of what was there before, callers keep their names, and tasks that have ended since their outcome.
  await during(url, [OLD], async (store) => {
    expect(await store.secret()).toEqual(secret);
    expect(await store.read(plain.id)).toMatchObject({ outcome: { kind: "completed" } });
    await expect(store.read(left.id)).rejects.toThrow("is not believed");
  });

  await expect(openStore(url)).rejects.toThrow("encryptionKeys: not given");
});

test("a check that somebody has put into the place of ours stops the start", async () => {
  const { storage, backend } = opened([OLD]);
  await sealedOrPlain(backend, { encryptionKeys: [OLD] }, "test:");
  storage.set(
    "check:encryption",
    storage.get("check:encryption")?.replace(/.{4}"\}/, 'AAAA"}') ?? "",
    TTL_MS,
  );

  await expect(sealedOrPlain(backend, { encryptionKeys: [OLD] }, "test:")).rejects.toThrow(
    "none of the keys opens",
  );
  await expect(backend.getMany([])).rejects.toThrow("closed");
});

test("nothing of a task can be found on the disk but ids, and without keys everything can", async () => {
  const secrets = ["argument-4711", "answer-4711", "Bearer token-4711", "result-4711", "caller-4711"];
  const [argument, answer, credential, result, caller] = secrets as [string, string, string, string, string];
  const found = async (keys: ReturnType<typeof newKey>[] | undefined) => {
    const path = await directory();
    const id = await during(`level:${path}`, keys, async (store) => {
      const task = await store.create(
        newTask({
          caller,
          isListed: true,
          inputRequests: { name: { method: "elicitation/create", params: { message: "who?" } } },
          storedCall: {
            method: "tools/call",
            params: { name: "render", arguments: { argument } },
            headers: { authorization: credential },
          },
        }),
      );
      await store.answer(task, "name", { result: { content: answer } });
      const asking = await store.update(task, { statusMessage: "still" });
      await store.end(asking, completed({ text: result }));
      return task.id;
    });
    const texts = await Promise.all(
      (await readdir(path)).map((file) => readFile(join(path, file), { encoding: "latin1" })),
    );
    return [id, ...secrets].map((secret) => texts.some((text) => text.includes(secret)));
  };

  expect(await found([OLD])).toEqual([true, false, false, false, false, false]);
  expect(await found(undefined)).toEqual([true, true, true, true, true, true]);
});

interface Sealed {
  readonly kid: string;
  readonly iv: string;
  readonly data: string;
}

function newKey() {
  return createSecretKey(randomBytes(32));
}

function opened(keys: readonly ReturnType<typeof newKey>[]) {
  const storage = new MemoryStorage();
  const backend = new KeyvBackend("test:", storage);
  onTestFinished(() => backend.close());
  return {
    storage,
    backend,
    sealed: new SealedBackend({ url: "test:", backend, keyring: new Keyring(keys) }),
  };
}

/** Keyv puts a value into one of its own. */
function stored(storage: MemoryStorage, key: string): Sealed {
  return JSON.parse(storage.get(key) ?? "{}").value;
}

function inKeyv(value: Sealed): string {
  return JSON.stringify({ value });
}

function flipped(text: string): string {
  return `${text[0] === "A" ? "B" : "A"}${text.slice(1)}`;
}

async function during<T>(
  url: string,
  keys: ReturnType<typeof newKey>[] | Parameters<typeof sealedOrPlain>[1] | undefined,
  work: (store: Awaited<ReturnType<typeof openStore>>) => Promise<T>,
): Promise<T> {
  const store = await openStore(url, Array.isArray(keys) ? { encryptionKeys: keys } : keys);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
