import { createClient } from "@keyv/redis";
import { openStore } from "../../src/store/open.ts";
import { completed, newTask } from "../store/samples.ts";

/** What the task store has Redis do for one task, in order, with `<id>` for the id of the task. */
export interface StoreCommands {
  readonly create: readonly Command[];
  readonly read: readonly Command[];
  readonly end: readonly Command[];
}

export type Command = readonly string[];

const PLACEHOLDER = "<id>";
/** A longer word is a value, whose id nobody looks at: putting one in would only take time. */
const MAX_KEY_LENGTH = 200;
/** What the replica does for itself is no part of it. */
const OWN_BUSINESS = /replica/;

/** Looks over Redis's shoulder while a task with a result of so many bytes is made, read as it ended, and ended. */
export async function storeCommands(url: string, bytes: number): Promise<StoreCommands> {
  const seen: string[][] = [];
  const watcher = createClient({ url });
  watcher.on("error", () => {});
  await watcher.connect();
  const store = await openStore(url);
  try {
    const waiting = new Map<string, () => void>();
    await watcher.monitor((line) => {
      const command = wordsOf(String(line));
      const arrived = command[0]?.toUpperCase() === "ECHO" ? waiting.get(command[1] ?? "") : undefined;
      if (arrived !== undefined) return arrived();
      if (!command.some((word) => OWN_BUSINESS.test(word))) seen.push(command);
    });
    const marker = createClient({ url });
    marker.on("error", () => {});
    await marker.connect();
    /** What was done by the time a mark of ours comes by. */
    const during = async <T>(mark: string, work: () => Promise<T>): Promise<[T, string[][]]> => {
      seen.length = 0;
      const result = await work();
      const arrived = new Promise<void>((resolve) => waiting.set(mark, resolve));
      // What is not waited for is sent in the same turn.
      await new Promise(setImmediate);
      await marker.echo(mark);
      await arrived;
      return [result, seen.filter(([name]) => !/^(HELLO|CLIENT|INFO|CONFIG)$/i.test(name ?? ""))];
    };
    // The first has more to do, once in hours: it sees to it that the lists stay.
    await store.create(newTask());
    const [task, create] = await during("created", () => store.create(newTask()));
    const templates = (commands: string[][]) =>
      commands.map((command) => command.map((word) => word.replaceAll(task.id, PLACEHOLDER)));
    const [, end] = await during("ended", () => store.end(task, completed(resultOf(bytes))));
    const [, read] = await during("read", () => store.read(task.id));
    marker.destroy();
    return { create: templates(create), end: templates(end), read: templates(read) };
  } finally {
    watcher.destroy();
    await store.close();
  }
}

/** The same command for another task. */
export function commandFor(template: Command, id: string): string[] {
  return template.map((word) => (word.length > MAX_KEY_LENGTH ? word : word.replaceAll(PLACEHOLDER, id)));
}

/** A tool's result whose text has so many bytes. */
export function resultOf(bytes: number): object {
  return { content: [{ type: "text", text: "x".repeat(bytes) }] };
}

/** `1700000000.000000 [0 127.0.0.1:1234] "SET" "key" "value"` */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([quoted]) => JSON.parse(quoted) as string);
}
