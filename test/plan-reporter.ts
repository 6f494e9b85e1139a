import type { Reporter, TestModule, TestSpecification } from "vitest/node";

/** How tests that cannot run here say why, as in `Lists in Redis: not run, because there is no Redis`. */
const REASON = /^.*(?:: not run, because | SKIPPED[,:] ).*$/gm;
const MINUTE_MS = 60_000;

/** Says what is going to be run, once a minute how far it is, and at the end the counts and what was not run, and why: nobody reads what scrolls by. */
export class PlanReporter implements Reporter {
  readonly #reasons = new Set<string>();
  readonly #startedAt = performance.now();
  #files = 0;
  #done = 0;
  #failed = 0;
  #minutes: NodeJS.Timeout | undefined;
  #say: (line: string) => void = console.log;

  onTestRunStart(files: readonly TestSpecification[]): void {
    this.#files = files.length;
    this.#say(`${files.length} test files, with real servers, stores and clients.`);
    this.#minutes = setInterval(() => {
      const faults = this.#failed === 0 ? "" : `, ${this.#failed} with failures`;
      this.#say(`… ${this.#done} of ${this.#files} test files after ${this.#seconds()} s${faults}`);
    }, MINUTE_MS);
    this.#minutes.unref();
  }

  onTestModuleEnd(module: TestModule): void {
    this.#done += 1;
    if (!module.ok()) this.#failed += 1;
  }

  onUserConsoleLog({ content }: { readonly content: string }): void {
    for (const [reason] of content.matchAll(REASON)) this.#reasons.add(reason.trim());
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    clearInterval(this.#minutes);
    const count = (state: "passed" | "failed" | "skipped") =>
      modules.reduce((sum, { children }) => sum + [...children.allTests(state)].length, 0);
    const skipped = modules.flatMap((module) =>
      [...module.children.allTests("skipped")].map(
        ({ fullName }) => `${module.relativeModuleId}: ${fullName}`,
      ),
    );
    if (skipped.length > 0) {
      this.#say(`\n${skipped.length} tests were skipped:`);
      const shown = this.#reasons.size > 0 ? [...this.#reasons] : skipped.slice(0, 20);
      for (const line of shown) this.#say(`  ${line}`);
    }
    const flaky = modules.flatMap((module) =>
      [...module.children.allTests("passed")]
        .filter((test) => test.diagnostic()?.flaky)
        .map((test) => {
          const [error] = test.result().errors ?? [];
          return `${module.relativeModuleId}: ${test.fullName}: ${error?.message.split("\n", 1)[0] ?? "no reason"}`;
        }),
    );
    if (flaky.length > 0) this.#say(`\n${flaky.length} tests failed first and passed when tried again:`);
    for (const line of flaky) this.#say(`  ${line}`);
    const counts = `${count("passed")} passed, ${count("failed")} failed, ${skipped.length} skipped`;
    this.#say(`\n${modules.length} test files in ${this.#seconds()} s: ${counts}`);
  }

  #seconds(): number {
    return Math.round((performance.now() - this.#startedAt) / 1_000);
  }
}
