import { type FSWatcher, watch } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { Loaded } from "./load.ts";

/** How long a file must be quiet before it is read: several events are one change, and a file that is written in place is incomplete. */
const QUIET_MS = 200;
/** How often to look without an event: some file systems report none, and a folder above may be another one. */
const LOOK_MS = 5_000;

/**
 * The file of a configuration that is read again and again. Watches the folders of the file and not the file itself: editors and Kubernetes
 * put another one in its place, the latter by replacing a link to a folder (`..data`), which chokidar misses.
 */
export class ConfigFile {
  readonly #file: string;
  readonly #load: () => Promise<Loaded>;
  /** Which file was read last. */
  #read = "";

  /** @param load reads and checks the file, and everything that overrides its settings */
  constructor(file: string, load: () => Promise<Loaded>) {
    this.#file = file;
    this.#load = load;
  }

  /** @throws ConfigError */
  async read(): Promise<Loaded> {
    // Before the file is read: what is written meanwhile is a change.
    this.#read = await markOf(this.#file);
    return this.#load();
  }

  /** Calls `changed` when the file is no longer the one that was read last. Returns the function that stops it. */
  watch(changed: () => void, { lookMs = LOOK_MS }: { readonly lookMs?: number } = {}): () => void {
    let watchers: readonly FSWatcher[] = [];
    let watched: readonly string[] = [];
    let timer: NodeJS.Timeout | undefined;
    let isOver = false;
    const lookIn = (ms: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        timer = undefined;
        void look();
      }, ms).unref();
    };
    const stop = () => {
      for (const each of watchers) each.close();
      watchers = [];
    };
    const look = async () => {
      const [folders, mark] = await Promise.all([foldersOf(this.#file), markOf(this.#file)]);
      if (isOver) return;
      if (folders.join("\n") !== watched.join("\n")) {
        stop();
        watched = folders;
        watchers = folders.flatMap((folder) => watchFolder(folder, () => lookIn(QUIET_MS)));
        // What happened before the folder was watched made no event.
        lookIn(QUIET_MS);
      }
      if (mark !== this.#read) changed();
      if (timer === undefined) lookIn(lookMs);
    };
    void look();
    return () => {
      isOver = true;
      clearTimeout(timer);
      stop();
    };
  }
}

/** A folder that cannot be watched is looked at now and then. */
function watchFolder(folder: string, onEvent: () => void): readonly FSWatcher[] {
  try {
    const watcher = watch(folder, { persistent: false }, onEvent);
    return [watcher.on("error", () => watcher.close())];
  } catch {
    return [];
  }
}

/** Where the file is by its name, and where it really is. */
async function foldersOf(file: string): Promise<readonly string[]> {
  const found = await Promise.allSettled([realpath(dirname(file)), realpath(file).then(dirname)]);
  return [...new Set(found.flatMap((each) => (each.status === "fulfilled" ? [each.value] : [])))];
}

/** Equal for the same content of the same file, whichever links lead there. */
async function markOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(":");
  } catch {
    return "missing";
  }
}
