import { isIP } from "node:net";
import { httpUrl } from "./addresses.ts";
import type { CallersConfig, TrustedIssuer } from "./config.ts";
import { choice, duration, list, section, setting, text } from "./fields.ts";
import { formatPath, type Path, type Problem, textAt, valueAt } from "./problems.ts";

export const callerDefaults = {
  identify: "auto",
  header: "x-forwarded-user",
  trustedProxies: [],
  jwt: { scopes: [], clockTolerance: "30s" },
} as const;

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

export const callersSection = section({
  identify: setting(
    choice(["auto", "anonymous", "authorization", "header", "jwt"]),
    "How the gateway tells callers apart. `authorization`: by the credential that the server accepts, or by the subject of a token that the gateway has verified as well. `header`: by a name that a trusted proxy sets. `jwt`: by a token that the gateway verifies. `anonymous`: not at all; whoever knows a task's id has the task. `auto`: `authorization` for requests with a credential, `anonymous` for others.",
    callerDefaults.identify,
  ),
  header: setting(
    text("a header name", (given) => TOKEN.test(given))
      .transform((given) => given.toLowerCase())
      .meta({ values: "header name" }),
    "With `identify: header`: the header that names the caller.",
    callerDefaults.header,
  ),
  trustedProxies: setting(
    list(text("an address or a network such as 10.0.0.0/8", isNetwork).meta({ values: "network" })),
    "Addresses and networks of proxies. The gateway passes `Forwarded`, `X-Forwarded-*`, `X-Real-IP` and the like on from these only, and drops them from elsewhere; its OAuth documents name the host and scheme that they say, unless `listen.publicUrl` does. With `identify: header` it believes the header from these only, and refuses requests from elsewhere.",
    callerDefaults.trustedProxies,
  ),
  jwt: section({
    issuer: setting(
      text("the issuer exactly as tokens name it"),
      "Issuer of the tokens that the gateway verifies, exactly as in their `iss`. With `identify: jwt` every token must be from it. With `auto` and `authorization` the gateway believes the subject of this issuer's tokens, whatever the server's metadata say.",
    ),
    audience: setting(
      list(text("an audience")),
      "Audiences: a token's `aud` must be one of these, as a rule the gateway's addresses.",
    ),
    jwks: setting(
      httpUrl(),
      "URL of the issuer's keys. Unless given, the issuer's metadata name it (RFC 8414, OpenID Connect Discovery).",
    ),
    scopes: setting(
      list(text("a scope without spaces", (given) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(given))),
      "With `identify: jwt`: scopes that every token must have.",
      callerDefaults.jwt.scopes,
    ),
    clockTolerance: setting(
      duration({ min: "0ms", max: "10m" }),
      "By how much the issuer's clock may differ from the gateway's.",
      callerDefaults.jwt.clockTolerance,
    ),
  }).exactOptional(),
});

type CallersFile = ReturnType<typeof callersSection.parse>;

export function resolveCallers(given: CallersFile = {}): CallersConfig {
  const { identify = callerDefaults.identify, header = callerDefaults.header, trustedProxies = [] } = given;
  const proxies = trustedProxies.length === 0 ? {} : { trustedProxies };
  switch (identify) {
    case "anonymous":
      return { identify, ...proxies };
    case "auto":
    case "authorization":
      return { identify, ...proxies, ...(given.jwt === undefined ? {} : { jwt: resolveIssuer(given.jwt) }) };
    case "header":
      return { identify, header, trustedProxies };
    case "jwt": {
      const { jwt = {} } = given;
      return { identify, ...proxies, ...resolveIssuer(jwt), scopes: jwt.scopes ?? callerDefaults.jwt.scopes };
    }
  }
}

function resolveIssuer(given: NonNullable<CallersFile["jwt"]>): TrustedIssuer {
  const { issuer = "", audience = [], jwks, clockTolerance } = given;
  const clockToleranceMs = clockTolerance ?? duration().parse(callerDefaults.jwt.clockTolerance);
  return { issuer, audience, clockToleranceMs, ...(jwks === undefined ? {} : { jwks }) };
}

/** Settings of the section that contradict each other, or that are missing. */
export function callerConflicts(document: unknown): readonly Problem[] {
  const identify = textAt(document, ["callers", "identify"]) ?? callerDefaults.identify;
  const given = (...path: Path) => valueAt(document, ["callers", ...path]);
  const isGiven = (...path: Path) => {
    const value = given(...path);
    return Array.isArray(value) ? value.length > 0 : value !== undefined;
  };
  const hasIssuer = identify === "jwt" || (BY_CREDENTIAL.has(identify) && isGiven("jwt"));
  return [
    ...(identify === "header" && !isGiven("trustedProxies")
      ? [problem(["trustedProxies"], "must name who sets the header, since anybody else could as well")]
      : []),
    ...(hasIssuer
      ? ["issuer", "audience"]
          .filter((name) => !isGiven("jwt", name))
          .map((name) => problem(["jwt", name], "must be given, to verify the tokens of an issuer"))
      : []),
    ...(hasIssuer && isNoUrl(given("jwt", "issuer")) && !isGiven("jwt", "jwks")
      ? [
          problem(
            ["jwt", "jwks"],
            "must be given where the issuer is no url that could say where its keys are",
          ),
        ]
      : []),
  ];
}

/** Settings of the section that work but may be a mistake. */
export function callerWarnings(document: unknown): readonly Problem[] {
  const identify = textAt(document, ["callers", "identify"]) ?? callerDefaults.identify;
  const unused = [
    [["header"], ["header"]],
    [["jwt"], ["jwt", ...BY_CREDENTIAL]],
    [["jwt", "scopes"], ["jwt"]],
  ] as const;
  const isIdle = ([path, modes]: (typeof unused)[number]) =>
    valueAt(document, ["callers", ...path]) !== undefined && !(modes as readonly string[]).includes(identify);
  const idle = unused
    .filter(isIdle)
    .map(([path, [mode]]) => problem(path, `has no effect without identify: ${mode}`));
  // A section without effect needs no warnings for its settings.
  return idle.filter(({ path }) => !idle.some((above) => path.startsWith(`${above.path}.`)));
}

/** The values of `identify` with which the server judges credentials. */
const BY_CREDENTIAL: ReadonlySet<string> = new Set(["auto", "authorization"]);

function isNoUrl(issuer: unknown): boolean {
  return typeof issuer === "string" && !(URL.canParse(issuer) && /^https?:/i.test(issuer));
}

function isNetwork(given: string): boolean {
  const [address = "", prefix, ...rest] = given.split("/");
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : undefined;
  if (bits === undefined || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
}

function problem(path: Path, message: string): Problem {
  return { path: formatPath(["callers", ...path]), message };
}
