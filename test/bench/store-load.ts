/** A process that uses a task store in Redis, or has Redis do the same without one: `tsx store-load.ts store|raw URL`. */

import { randomBytes } from "node:crypto";
import { createClient } from "@keyv/redis";
import { openStore } from "../../src/store/open.ts";
import type { Outcome, TaskRecord } from "../../src/store/task-store.ts";
import { completed, newTask } from "../store/samples.ts";
import { answerQuestions } from "./answers.ts";
import { commandFor, resultOf, type StoreCommands } from "./store-commands.ts";

export interface StoreJob {
  readonly what: keyof StoreCommands;
  /** Operations in flight. */
  readonly inFlight: number;
  /** How long to go on; ends when there is nothing left to end. */
  readonly forMs: number;
  /** Of the result that a task ends with. */
  readonly bytes: number;
  /** What Redis is to be told, for whoever has no store. */
  readonly commands: StoreCommands;
}

export interface StoreRate {
  readonly perSecond: number;
  readonly p50Ms: number;
}

/** The tasks that have been created are those that are ended, and those that have been ended are those that are read. */
interface Worker {
  /** Forgets all of them. */
  reset(): void;
  create(): Promise<void>;
  /** `undefined` when all have been ended. */
  end(): Promise<void> | undefined;
  read(): Promise<void>;
}

const [, , kind, url = ""] = process.argv;
let job: StoreJob;
const worker = kind === "store" ? await withStore() : await withoutStore();
answerQuestions(async (next: StoreJob): Promise<StoreRate> => {
  job = next;
  return measure(next);
});
console.log("ready");

async function withStore(): Promise<Worker> {
  const store = await openStore(url);
  const open: TaskRecord[] = [];
  const ended: TaskRecord[] = [];
  let turn = 0;
  const results = new Map<number, Outcome>();
  /** Results come as text: to make one of a value is no part of what is measured. */
  const outcome = (): Outcome => {
    const known = results.get(job.bytes) ?? completed(resultOf(job.bytes));
    results.set(job.bytes, known);
    return { ...known, endedAt: Date.now() };
  };
  return {
    reset: () => {
      open.length = ended.length = 0;
    },
    create: async () => void open.push(await store.create(newTask())),
    end: () => {
      const task = open.pop();
      if (task === undefined) return undefined;
      ended.push(task);
      return store.end(task, outcome()).then(() => {});
    },
    read: async () => {
      turn += 1;
      const view = await store.read(ended[turn % ended.length]?.id ?? "");
      if (view?.outcome === undefined) throw new Error("a task that has ended is not there");
    },
  };
}

async function withoutStore(): Promise<Worker> {
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  const open: string[] = [];
  const ended: string[] = [];
  let turn = 0;
  const run = async (what: keyof StoreCommands, id: string) => {
    await Promise.all(job.commands[what].map((template) => client.sendCommand(commandFor(template, id))));
  };
  return {
    reset: () => {
      open.length = ended.length = 0;
    },
    create: async () => {
      const id = randomBytes(18).toString("base64url");
      await run("create", id);
      open.push(id);
    },
    end: () => {
      const id = open.pop();
      if (id === undefined) return undefined;
      ended.push(id);
      return run("end", id);
    },
    read: () => {
      turn += 1;
      return run("read", ended[turn % ended.length] ?? "");
    },
  };
}

async function measure({ what, inFlight, forMs }: StoreJob): Promise<StoreRate> {
  const durations: number[] = [];
  if (what === "create") worker.reset();
  const startedAt = performance.now();
  const endsAt = startedAt + forMs;
  const lane = async () => {
    for (;;) {
      const begunAt = performance.now();
      if (begunAt >= endsAt) return;
      const done = worker[what]();
      if (done === undefined) return;
      await done;
      durations.push(performance.now() - begunAt);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  const seconds = (performance.now() - startedAt) / 1_000;
  durations.sort((a, b) => a - b);
  return {
    perSecond: durations.length / seconds,
    p50Ms: durations[Math.floor(durations.length / 2)] ?? Number.NaN,
  };
}
