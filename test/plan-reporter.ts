import type { Reporter, TestModule, TestSpecification } from "vitest/node";

/** How tests that cannot run here say why, as in `Lists in Redis: not run, because there is no Redis`. */
const REASON = /^.*(?:: not run, because | SKIPPED[,:] ).*$/gm;

/** Says at the beginning what is going to be run, and at the end what was not, and why: what scrolled by is read by nobody. */
export class PlanReporter implements Reporter {
  readonly #reasons = new Set<string>();
  #say: (line: string) => void = console.log;

  onTestRunStart(files: readonly TestSpecification[]): void {
    this.#say(`${files.length} test files, with real servers, stores and clients.`);
  }

  onUserConsoleLog({ content }: { readonly content: string }): void {
    for (const [reason] of content.matchAll(REASON)) this.#reasons.add(reason.trim());
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const skipped = modules.flatMap((module) =>
      [...module.children.allTests("skipped")].map(
        ({ fullName }) => `${module.relativeModuleId}: ${fullName}`,
      ),
    );
    if (skipped.length === 0) return;
    this.#say(`\n${skipped.length} tests were skipped:`);
    const shown = this.#reasons.size > 0 ? [...this.#reasons] : skipped.slice(0, 20);
    for (const line of shown) this.#say(`  ${line}`);
  }
}
