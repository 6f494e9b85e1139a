import { ConfigError, type Problem, problemLine } from "./problems.ts";

/** One line each, the errors first, and one with all environment variables that are missing, where there are several. */
export function reportLines(problems: readonly Problem[], warnings: readonly Problem[]): readonly string[] {
  const unset = new Set(problems.flatMap((problem) => problem.unset ?? []));
  return [
    ...problems.map((problem) => `error: ${problemLine(problem)}`),
    ...warnings.map((warning) => `warning: ${problemLine(warning)}`),
    ...(unset.size < 2 ? [] : [`hint: export these variables first: ${[...unset].join(", ")}`]),
  ];
}

/** The lines that report a thrown value: why the program cannot do what it was asked. */
export function failureLines(reason: unknown): readonly string[] {
  if (reason instanceof ConfigError) return reportLines(reason.problems, reason.warnings);
  return [`error: ${reason instanceof Error ? withCauses(reason) : String(reason)}`];
}

/** `1 error`, `2 errors`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** The error's message with those of its causes, which often say more. */
function withCauses({ message, cause }: Error): string {
  return cause instanceof Error && !message.includes(cause.message)
    ? `${message}: ${withCauses(cause)}`
    : message;
}
