import { openLevelStore } from "./level.ts";
import { openMemoryStore } from "./memory.ts";
import type { StoreOptions } from "./options.ts";
import type { TaskStore } from "./task-store.ts";

/**
 * Opens the task store that `url` names: `memory:`, or `level:PATH` for a directory that is created when it is missing
 * (relative to the working directory).
 *
 * Rejects with an `Error` that names the url and what is wrong with it; nothing of an unsupported url is repeated but its scheme.
 */
export async function openStore(url: string, options: StoreOptions = {}): Promise<TaskStore> {
  const scheme = url.slice(0, url.indexOf(":") + 1);
  const rest = url.slice(scheme.length);
  if (scheme === "memory:" && rest === "") return openMemoryStore(url, options);
  if (scheme === "level:" && rest !== "") return openLevelStore(url, rest, options);
  // A url of another kind may carry a password.
  const got = scheme === "" ? "no scheme" : scheme + (rest && "…");
  throw new Error(`store: must be memory: or level:PATH, got ${got}`);
}
