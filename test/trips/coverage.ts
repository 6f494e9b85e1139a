/** Which files of `src` a piece of work runs through, as V8 counts the calls of their functions. */

import { Session } from "node:inspector/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const SRC = `${pathToFileURL(resolve(import.meta.dirname, "../../src"))}/`;

export class Coverage {
  readonly #session = new Session();

  /** Counts from now on. What was loaded before is counted as well, each time that it runs. */
  static async begin(): Promise<Coverage> {
    const coverage = new Coverage();
    coverage.#session.connect();
    await coverage.#session.post("Profiler.enable");
    await coverage.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
    return coverage;
  }

  /** The files of which a function ran in each of several turns of `work`: without what only happened to run at the same time. */
  async always(work: () => Promise<unknown>): Promise<readonly string[]> {
    const turns = [await this.once(work), await this.once(work), await this.once(work)];
    const [first = [], ...others] = turns;
    return first.filter((file) => others.every((files) => files.includes(file)));
  }

  /** The files, as paths within `src`, of which a function ran while `work` did: that a file was loaded does not count. */
  async once(work: () => Promise<unknown>): Promise<readonly string[]> {
    await this.#session.post("Profiler.takePreciseCoverage");
    await work();
    const { result } = await this.#session.post("Profiler.takePreciseCoverage");
    return result
      .filter(({ url }) => url.startsWith(SRC))
      .filter(({ functions }) =>
        functions.some(({ functionName, ranges: [range] }) => {
          const isModule = functionName === "" && range?.startOffset === 0;
          return !isModule && (range?.count ?? 0) > 0;
        }),
      )
      .map(({ url }) => url.slice(SRC.length).replace(/\?.*$/, ""))
      .sort();
  }

  end(): void {
    this.#session.disconnect();
  }
}
