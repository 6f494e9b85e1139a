import { spawnSync } from "node:child_process";

/** Why these programs cannot be used here; `undefined` when they can. */
export function missingPrograms(names: readonly string[]): string | undefined {
  const missing = names.filter(
    (name) => spawnSync(name, ["--version"], { stdio: "ignore" }).error !== undefined,
  );
  return missing.length === 0
    ? undefined
    : `${missing.join(" and ")}: not installed; Debian has packages of that name`;
}

/**
 * Whether tests that need these programs have to be skipped, for `describe.skipIf`. Says so loudly: a test that quietly did not run looks
 * like one that passed. In CI it is an error.
 */
export function withoutPrograms(what: string, ...names: readonly string[]): boolean {
  const reason = missingPrograms(names);
  if (reason === undefined) return false;
  const message = `${what}: not run, because ${reason}`;
  if (process.env.CI) throw new Error(message);
  console.warn(message);
  return true;
}
