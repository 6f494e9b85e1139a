import { createSecretKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { storeUrl } from "./addresses.ts";
import { duration, flag, section, setting, text } from "./fields.ts";
import { pem } from "./pem.ts";
import { type Problem, textAt, valueAt } from "./problems.ts";
import { parseDuration } from "./units.ts";

const KEY_EXPECTED = "must be a key of 32 bytes, as 44 characters of base64 or 64 hexadecimal digits";
const MAX_KEYS = 10;

export const storeDefaults = {
  url: "level:./taskgate-data",
  lease: "15s",
  timeout: "2s",
  prefix: "taskgate:",
  acceptPlaintext: false,
} as const;

export const storeSection = section({
  url: setting(
    storeUrl(),
    "Where tasks are kept. `level:` survives restarts and belongs to one process; `memory:` forgets everything at the end; a Redis or Valkey can be shared by many gateways: `redis://USER:PASSWORD@HOST:PORT/DATABASE`, `redis+cluster://HOST,HOST`, `redis+sentinel://HOST,HOST/MASTER`, and the same with `rediss` for TLS.",
    storeDefaults.url,
  ),
  lease: setting(
    duration({ min: "500ms", max: "10m" }),
    "How long the others on a shared store wait for a silent gateway before they take over its tasks. Each gateway announces itself three times in that time.",
    storeDefaults.lease,
  ),
  timeout: setting(
    duration({ min: "50ms", max: "1m" }),
    "How long Redis may take to accept a connection and to answer.",
    storeDefaults.timeout,
  ),
  prefix: setting(
    text("up to 64 letters, digits, and the characters : . _ / -", (given) =>
      /^[\w:./-]{0,64}$/.test(given),
    ).meta({ values: "text" }),
    "Prefix of every key in Redis. Gateways that share tasks have the same.",
    storeDefaults.prefix,
  ),
  tls: section({
    ca: setting(
      pem(),
      "File with the certificate authorities that sign the server's certificate, if Node does not know them.",
    ),
    cert: setting(
      pem(),
      "File with the gateway's own certificate, for servers that ask for one; goes with `key`.",
    ),
    key: setting(pem(), "File with the key of `cert`."),
    servername: setting(
      text("a host name"),
      "The name that the server's certificate must have, if it is not the host in `url`.",
    ),
  }).exactOptional(),
  encryptionKeys: setting(
    encryptionKeys(),
    "Keys of 32 bytes, in base64 or hexadecimal: the first encrypts, all of them decrypt. Take them from the environment or from files.",
  ),
  acceptPlaintext: setting(
    flag(),
    "With `encryptionKeys`: whether the gateway also reads plaintext from before there was a key. Only for the time of a migration: whoever can write to the store can then invent tasks and calls.",
    storeDefaults.acceptPlaintext,
  ),
});

/** Settings of the section that contradict each other. Checks the document even if the schema rejects some of it. */
export function storeConflicts(document: unknown): readonly Problem[] {
  const url = textAt(document, ["store", "url"]) ?? storeDefaults.url;
  const has = (name: string) => valueAt(document, ["store", "tls", name]) !== undefined;
  return [
    ...(valueAt(document, ["store", "tls"]) !== undefined && /^redis(\+\w+)?:/.test(url)
      ? [problem("tls", "needs a url with rediss: this one is without TLS")]
      : []),
    ...(has("cert") && !has("key") ? [problem("tls.cert", "needs tls.key as well")] : []),
    ...(has("key") && !has("cert") ? [problem("tls.key", "needs tls.cert as well")] : []),
  ];
}

/** Settings of the section that work but may be a mistake. */
export function storeWarnings(document: unknown): readonly Problem[] {
  const url = textAt(document, ["store", "url"]) ?? storeDefaults.url;
  const given = (name: string) => valueAt(document, ["store", name]) !== undefined;
  if (/^rediss?[:+]/.test(url)) return [...shortLease(document), ...plaintext(document)];
  return [
    ...plaintext(document),
    ...(url === "memory:" ? [problem("url", "memory: loses every task when the gateway stops")] : []),
    ...(url === "memory:" && given("encryptionKeys")
      ? [problem("encryptionKeys", "memory: stores nothing that could be encrypted")]
      : []),
    ...["lease", "timeout", "prefix", "tls"]
      .filter(given)
      .map((name) => problem(name, "has no effect without a Redis in url")),
  ];
}

function plaintext(document: unknown): readonly Problem[] {
  if (String(valueAt(document, ["store", "acceptPlaintext"])) !== "true") return [];
  return [
    valueAt(document, ["store", "encryptionKeys"]) === undefined
      ? problem("acceptPlaintext", "has no effect without encryptionKeys")
      : problem(
          "acceptPlaintext",
          "what is not encrypted is believed: whoever can write to the store can invent tasks and calls; remove it once what was stored before the keys has expired",
        ),
  ];
}

/** Warns of a short lease: a replica sends a heartbeat every third of a lease, and each may take as long as the timeout. */
function shortLease(document: unknown): readonly Problem[] {
  const [leaseMs = 0, timeoutMs = 0] = (["lease", "timeout"] as const).map((name) =>
    parseDuration(textAt(document, ["store", name]) ?? storeDefaults[name]),
  );
  return leaseMs < 2 * timeoutMs
    ? [problem("lease", "is less than two timeouts: a gateway is taken to be dead when the store is slow")]
    : [];
}

function problem(name: string, message: string): Problem {
  return { path: `store.${name}`, message };
}

/**
 * Secret keys for AES-256; the first one encrypts. The output has key objects, which neither log lines nor error messages show.
 */
function encryptionKeys() {
  const key = z
    .string({ error: KEY_EXPECTED })
    .transform((text, context) => {
      const found = parseKey(text.trim());
      if (found !== undefined) return found;
      context.addIssue({ code: "custom", message: KEY_EXPECTED });
      return z.NEVER;
    })
    .meta({ values: "key" });
  const error = `must be a list of 1 to ${MAX_KEYS} keys`;
  return z.array(key, { error }).min(1, { error }).max(MAX_KEYS, { error });
}

/** A key from hexadecimal digits or base64 of either alphabet, padded or not; `undefined` for any other text. */
function parseKey(text: string): KeyObject | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return createSecretKey(text, "hex");
  return /^[\w+/-]{43}=?$/.test(text) ? createSecretKey(text, "base64") : undefined;
}
