import { readFileSync } from "node:fs";
import { z } from "zod";

const EXPECTED = "must be the path of a file in PEM";

/** The path of a PEM file, replaced by its contents. */
export function pem() {
  return path((given) => readFileSync(given, "utf8"));
}

/** The path of a PEM file, which is read again while the gateway runs. */
export function pemPath() {
  return path((given) => given);
}

function path(taken: (given: string) => string) {
  return z
    .string({ error: EXPECTED })
    .transform((given, context) => {
      const message = fileFault(given);
      if (message === undefined) return taken(given);
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    })
    .meta({ values: "path" });
}

function fileFault(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").includes("-----BEGIN ") ? undefined : EXPECTED;
  } catch (error) {
    return `cannot be read: ${(error as NodeJS.ErrnoException).code ?? "not a path"}`;
  }
}
