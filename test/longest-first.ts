import type { TestSpecification } from "vitest/node";
import { BaseSequencer } from "vitest/node";

/** What takes a minute or so, though the file is short: a story for each of many servers, or many rounds of one. */
const LONGEST = [
  "console/console",
  "survival/crash-loop",
  "upstream/upstream-stdio",
  "conformance/requirements-2025",
  "simulate/simulate",
  "regular-expressions",
  "upstream/upstream-modern",
  "fuzz/fuzz",
  "upstream/upstream-streamable-http",
  "gateway/transparent/unanswered",
  "cli/call",
  "real/shutdown",
];

/** Begins with what takes longest: vitest begins with the largest files, and at the end one of these would keep a single worker busy. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLongest = ({ moduleId }: TestSpecification) =>
      LONGEST.some((name) => moduleId.endsWith(`/test/${name}.test.ts`));
    return [...sorted.filter(isLongest), ...sorted.filter((file) => !isLongest(file))];
  }
}
