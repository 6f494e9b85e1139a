import { createSecretKey, type KeyObject } from "node:crypto";
import { z } from "zod";

const EXPECTED = "must be a key of 32 bytes, as 44 characters of base64 or 64 hexadecimal digits";
const MAX_KEYS = 10;

/**
 * Secret keys for AES-256, the first of which is the one in use. They come out as key objects, which neither a log line nor an
 * error message shows.
 */
export function encryptionKeys() {
  const key = z
    .string({ error: EXPECTED })
    .transform((text, context) => {
      const found = parseKey(text.trim());
      if (found !== undefined) return found;
      context.addIssue({ code: "custom", message: EXPECTED });
      return z.NEVER;
    })
    .meta({ values: "key" });
  const error = `must be a list of 1 to ${MAX_KEYS} keys`;
  return z.array(key, { error }).min(1, { error }).max(MAX_KEYS, { error });
}

/** A key from its text; base64 of either alphabet, with its padding or without. `undefined` for every other text. */
function parseKey(text: string): KeyObject | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return createSecretKey(text, "hex");
  return /^[\w+/-]{43}=?$/.test(text) ? createSecretKey(text, "base64") : undefined;
}
