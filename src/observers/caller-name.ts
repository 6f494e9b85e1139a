import { createHmac } from "node:crypto";

/** How log and API name a caller: by a hash with this key, always the same for one caller, or without a key as it is. */
export function callerName(caller: string, key: Buffer | undefined): string {
  if (key === undefined) return caller;
  // The prefix separates these names from other uses of the key.
  return createHmac("sha256", key).update(`audit\n${caller}`).digest("base64url").slice(0, 22);
}
