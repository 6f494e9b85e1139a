import { createHash } from "node:crypto";

/** What the tools `work` and `read` give for a call: its id, and so many characters that follow from the id. */
export function workOf(id: string, size: number): string {
  const digest = createHash("sha256").update(id).digest("hex");
  return `${id} ${digest.repeat(Math.ceil(size / digest.length)).slice(0, size)}`;
}
