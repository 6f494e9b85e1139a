/**
 * Why tests with foreign programs cannot be run here; undefined when they can. Without the programs, that is an error in CI
 * and a loud skip elsewhere.
 */
export function peersMissing(what: string, find: () => unknown): string | undefined {
  try {
    find();
    return undefined;
  } catch (error) {
    if (process.env.CI === "true") throw error;
    const why = `${what}: SKIPPED, ${(error as Error).message}`;
    console.warn(why);
    return why;
  }
}
