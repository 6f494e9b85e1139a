import type { UpstreamFailure } from "./failure.ts";

/**
 * Resolves with the answer to a request, if it comes within `ms`.
 * @throws UpstreamFailure, made by `late`, when it does not
 */
export async function inTime<T>(ms: number, answer: Promise<T>, late: () => UpstreamFailure): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
    // The answer may still come or fail; nobody waits for it.
    answer.catch(() => {});
  }
}
