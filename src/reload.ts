import type { Logger } from "pino";
import type { Reload } from "./admin/reloads.ts";
import type { Config } from "./config/config.ts";
import type { ConfigFile } from "./config/config-file.ts";
import type { Loaded } from "./config/load.ts";
import { ConfigError, problemLine } from "./config/problems.ts";
import { changedLimits, isSameConfig, renewed } from "./config/restart.ts";
import type { Core } from "./core.ts";

export interface ReloaderOptions {
  readonly file: ConfigFile;
  /** The configuration that the gateway began with. */
  readonly config: Config;
  readonly core: Pick<Core, "apply" | "reloads" | "stopping">;
  /** Called with each configuration that is in force. */
  readonly onApplied: (config: Config) => void;
  readonly log: Logger;
}

/** Takes over the configuration file as it is, whenever somebody asks or, with `reload: watch`, when it has changed. */
export class Reloader {
  readonly #options: ReloaderOptions;
  /** The configuration in force. */
  #config: Config;
  /** Settles when no attempt is under way. */
  #idle: Promise<unknown> = Promise.resolve();
  /** An attempt that has not read the file yet: it is that of all who ask until then. */
  #next: Promise<Reload> | undefined;
  #stopWatching = () => {};

  constructor(options: ReloaderOptions) {
    const { config, file, core } = options;
    this.#options = options;
    this.#config = config;
    if (config.reload !== "watch") return;
    this.#stopWatching = file.watch(() => void this.reload());
    core.stopping.addEventListener("abort", this.#stopWatching, { once: true });
  }

  /** Reads the file, and takes over what is in it if all of it is good. Never rejects. */
  reload(): Promise<Reload> {
    this.#next ??= this.#idle.then(() => {
      this.#next = undefined;
      return this.#reload();
    });
    this.#idle = this.#next;
    return this.#next;
  }

  async #reload(): Promise<Reload> {
    const { file, core } = this.#options;
    const read = await file.read().catch((error: unknown) => error);
    const reload = core.stopping.aborted ? STOPPING : isLoaded(read) ? this.#take(read) : refusalOf(read);
    const wasGood = core.reloads.isGood;
    core.reloads.note(reload);
    this.#tell(reload, wasGood);
    return reload;
  }

  #take({ config, warnings }: Loaded): Reload {
    const { core, onApplied, log } = this.#options;
    const { config: next, restart } = renewed(this.#config, config);
    if (isSameConfig(this.#config, next)) return { outcome: "unchanged", restart };
    for (const { path, message } of warnings) log.warn({ setting: path }, message);
    const limits = changedLimits(this.#config.limits, next.limits);
    const change = core.apply(next);
    this.#config = next;
    onApplied(next);
    return { outcome: "applied", ...change, limits, restart };
  }

  #tell(reload: Reload, wasGood: boolean): void {
    const { log } = this.#options;
    if (reload.outcome === "refused") {
      for (const problem of reload.problems)
        log.error(`the configuration file has an error, and nothing of it is applied: ${problem}`);
      return;
    }
    if (reload.outcome === "applied") {
      const { outcome: _, restart: __, ...changes } = reload;
      const told = Object.entries(changes).filter(([, names]) => names.length > 0);
      log.info(Object.fromEntries(told), "the configuration file has been applied");
    } else if (wasGood) log.debug("the configuration file has nothing new");
    else log.info("the configuration file has no error any more, and nothing new");
    for (const setting of reload.restart)
      log.warn({ setting }, "is different now; restart the gateway to use it");
  }
}

const STOPPING: Reload = { outcome: "refused", problems: ["the gateway is stopping"] };

function isLoaded(read: unknown): read is Loaded {
  return !(read instanceof Error);
}

function refusalOf(error: unknown): Reload {
  const problems =
    error instanceof ConfigError
      ? error.problems.map(problemLine)
      : [error instanceof Error ? error.message : String(error)];
  return { outcome: "refused", problems };
}
