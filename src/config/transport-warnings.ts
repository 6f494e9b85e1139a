import { isIP } from "node:net";
import { isLoopback } from "../protocol/loopback.ts";
import { parseStoreUrl } from "../store-url.ts";
import { callerDefaults } from "./caller-settings.ts";
import { formatPath, type Path, type Problem, serverNames, textAt, valueAt } from "./problems.ts";

/** A network with fewer prefix bits contains so much of the internet that anybody may be in it. */
const MIN_BITS = { ipv4: 8, ipv6: 16 } as const;
/** Names of headers that probably contain a credential. */
const SECRET = /auth|cookie|credential|jwt|key|passw|secret|session|signature|token/i;

/** Settings that let anybody pose as any caller, or send credentials and keys where others on the way can read or change them. */
export function transportWarnings(document: unknown): readonly Problem[] {
  return [
    ...wideNetworks(document),
    ...plainIssuer(document),
    ...plainStore(document),
    ...serverNames(document).flatMap((name) => plainServer(document, ["servers", name, "upstream"])),
  ];
}

function wideNetworks(document: unknown): readonly Problem[] {
  const path = ["callers", "trustedProxies"];
  const given = valueAt(document, path);
  const networks = Array.isArray(given) ? given : typeof given === "string" ? [given] : [];
  return networks.flatMap((network: unknown, at) =>
    isWide(String(network))
      ? [
          problem(
            [...path, at],
            "is so wide that anybody may be in it, and say who is calling and from where",
          ),
        ]
      : [],
  );
}

function isWide(network: string): boolean {
  const [address = "", prefix] = network.split("/");
  if (prefix === undefined || !/^\d{1,3}$/.test(prefix)) return false;
  const bits = Number(prefix);
  if (isIP(address) === 4) return bits < MIN_BITS.ipv4;
  if (isIP(address) !== 6) return false;
  const { hostname } = new URL(`http://[${address}]`);
  // IPv4 mapped into IPv6 (RFC 4291 §2.5.5.2), and local addresses, however wide the network (RFC 4193, RFC 4291 §2.5.6).
  if (hostname.startsWith("[::ffff:") && bits >= 96) return bits - 96 < MIN_BITS.ipv4;
  const isLocal = (/^\[f[cd]/.test(hostname) && bits >= 7) || (/^\[fe[89ab]/.test(hostname) && bits >= 10);
  return bits < MIN_BITS.ipv6 && !isLocal;
}

/** Warns of an issuer whose keys come over http: others can change them on the way. */
function plainIssuer(document: unknown): readonly Problem[] {
  const at = (name: string) => textAt(document, ["callers", "jwt", name]);
  const setting = at("jwks") === undefined ? "issuer" : "jwks";
  return isPlainElsewhere(at(setting))
    ? [
        problem(
          ["callers", "jwt", setting],
          "the keys that tokens are verified with come over http: who can change them on the way can make tokens; use https",
        ),
      ]
    : [];
}

function plainStore(document: unknown): readonly Problem[] {
  const url = textAt(document, ["store", "url"]);
  const address = url === undefined ? undefined : readStore(url);
  if (address?.kind !== "redis" || address.isSecure || address.password === undefined) return [];
  return address.hosts.every(({ host }) => isLoopback(host))
    ? []
    : [problem(["store", "url"], "sends its password to another machine unencrypted; use rediss")];
}

function readStore(url: string): ReturnType<typeof parseStoreUrl> | undefined {
  try {
    return parseStoreUrl(url);
  } catch {
    return undefined;
  }
}

function plainServer(document: unknown, path: Path): readonly Problem[] {
  const of = (name: string) => valueAt(document, [...path, name]);
  if (!isPlainElsewhere(textAt(document, [...path, "url"]))) return [];
  const headers = of("headers");
  const set = typeof headers === "object" && headers !== null ? Object.keys(headers) : [];
  const given = of("forwardHeaders");
  const forwarded = (Array.isArray(given) ? given : [given]).filter(
    (name) => typeof name === "string" && SECRET.test(name),
  );
  const identify = textAt(document, ["callers", "identify"]) ?? callerDefaults.identify;
  const what = [
    ...(set.length > 0 ? ["headers"] : []),
    ...(forwarded.length > 0 ? ["forwardHeaders"] : []),
    ...(identify === "authorization" && !set.some((name) => name.toLowerCase() === "authorization")
      ? ["the credentials of callers"]
      : []),
  ];
  return what.length === 0
    ? []
    : [problem([...path, "url"], `sends ${what.join(", ")} to another machine unencrypted; use https`)];
}

/** Whether a URL is http to another machine. */
function isPlainElsewhere(url: string | undefined): boolean {
  if (url === undefined || !URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === "http:" && !isLoopback(hostname);
}

function problem(path: Path, message: string): Problem {
  return { path: formatPath(path), message };
}
