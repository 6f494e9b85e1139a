import { existsSync } from "node:fs";
import { isLoopback } from "../protocol/loopback.ts";
import { isHostOrAddress } from "./addresses.ts";
import { callerDefaults, callerWarnings } from "./caller-settings.ts";
import { limitWarnings } from "./limit-settings.ts";
import { formatPath, type Path, type Problem, serverNames, textAt, valueAt } from "./problems.ts";
import { defaults } from "./schema.ts";
import { storeWarnings } from "./store-settings.ts";
import { tlsWarnings } from "./tls-settings.ts";
import { transportWarnings } from "./transport-warnings.ts";

/** Settings that work but may be a mistake. Checks the document even if the schema rejects some of it. */
export function warnings(document: unknown): readonly Problem[] {
  return [
    ...exposure(document),
    ...tlsWarnings(document),
    ...closedApi(document),
    ...callerWarnings(document),
    ...limitWarnings(document),
    ...storeWarnings(document),
    ...transportWarnings(document),
    ...serverNames(document).flatMap((name) => [
      ...deadRules(document, ["servers", name, "tools"]),
      ...idleUnsafe(document, ["servers", name]),
      ...unseen(document, ["servers", name]),
      ...argumentsInCommand(document, ["servers", name, "upstream", "command"]),
    ]),
  ];
}

function exposure(document: unknown): readonly Problem[] {
  const host = textAt(document, ["listen", "host"]) ?? defaults.listen.host;
  // A URL in place of a host is an error, and may hold a password.
  if (isLoopback(host) || !isHostOrAddress(host)) return [];
  const identify = textAt(document, ["callers", "identify"]) ?? callerDefaults.identify;
  const who = { auto: "callers without a credential", anonymous: "callers" }[identify];
  const anonymous = `${who} are anonymous, and ${host} can be reached by others: whoever knows a task id has the task`;
  const unnamed = `not given, and ${host} can be reached by others: name the hosts that requests may be addressed to`;
  const hasHosts = valueAt(document, ["listen", "allowedHosts"]) !== undefined;
  return [
    ...(who === undefined ? [] : [warning(["callers", "identify"], anonymous)]),
    ...(hasHosts ? [] : [warning(["listen", "allowedHosts"], unnamed)]),
  ];
}

/** Without a token the API of the admin listener is there on loopback only. */
function closedApi(document: unknown): readonly Problem[] {
  const host = textAt(document, ["admin", "host"]) ?? defaults.admin.host;
  if (isLoopback(host) || !isHostOrAddress(host)) return [];
  const hasToken = ["token", "readToken"].some((name) => valueAt(document, ["admin", name]) !== undefined);
  const closed = `not given, and ${host} is not loopback: the API and the console refuse every request`;
  return hasToken ? [] : [warning(["admin", "token"], closed)];
}

/** Warns of calls that are to be observed where nobody can see what is counted. */
function unseen(document: unknown, server: Path): readonly Problem[] {
  if (valueAt(document, ["admin"]) !== undefined) return [];
  const given = valueAt(document, [...server, "tools"]);
  const rules = Array.isArray(given) ? given.map((_, index) => [...server, "tools", index]) : [];
  return [[...server, "tasks"], ...rules]
    .map((path) => [...path, "mode"])
    .filter((path) => textAt(document, path) === "observe")
    .map((path) => warning(path, "without an admin listener (admin.port) nothing is counted"));
}

/** Warns where `unsafe: true` has no effect, because without `onLoss: retry` no gateway sends a lost call again. */
function idleUnsafe(document: unknown, server: Path): readonly Problem[] {
  const base = retryOf(valueAt(document, [...server, "tasks"]), { onLoss: defaults.tasks.onLoss });
  const given = valueAt(document, [...server, "tools"]);
  const rules = (Array.isArray(given) ? given : []).map((rule: unknown) => retryOf(rule, base));
  const isIdle = ({ isUnsafe, onLoss }: Retry) => isUnsafe === true && onLoss !== "retry";
  const isHeir = ({ isOwn, onLoss }: Retry) => !isOwn && onLoss === "retry";
  return [
    ...(isIdle(base) && !rules.some(isHeir) ? [[...server, "tasks", "unsafe"]] : []),
    ...rules.flatMap((rule, index) =>
      rule.isOwn && isIdle(rule) ? [[...server, "tools", index, "unsafe"]] : [],
    ),
  ].map((path) => warning(path, "has no effect without onLoss: retry"));
}

interface Retry {
  readonly onLoss: string;
  readonly isUnsafe?: boolean;
  /** Whether the settings themselves contain `unsafe`. */
  readonly isOwn?: boolean;
}

function retryOf(settings: unknown, base: Retry): Retry {
  const unsafe = valueAt(settings, ["unsafe"]);
  return {
    ...base,
    onLoss: textAt(settings, ["onLoss"]) ?? base.onLoss,
    ...(unsafe === undefined ? {} : { isUnsafe: String(unsafe) === "true" }),
    isOwn: unsafe !== undefined,
  };
}

function deadRules(document: unknown, path: Path): readonly Problem[] {
  const rules = valueAt(document, path);
  const globs = Array.isArray(rules) ? rules.map((rule: unknown) => textAt(rule, ["match"])) : [];
  return globs.flatMap((glob, index) => {
    const first = globs.findIndex(
      (earlier) => earlier !== undefined && (earlier === glob || earlier === "*"),
    );
    return glob === undefined || first < 0 || first >= index
      ? []
      : [
          warning(
            [...path, index],
            `never applies, because the rule for ${JSON.stringify(globs[first])} comes first`,
          ),
        ];
  });
}

/** A program's name may contain a blank, but if no such program exists, the words after the first are arguments. */
function argumentsInCommand(document: unknown, path: Path): readonly Problem[] {
  const command = textAt(document, path);
  if (command === undefined || !/\s/.test(command.trim()) || existsSync(command)) return [];
  return [warning(path, "has a blank in the name of the program: put arguments in args")];
}

function warning(path: Path, message: string): Problem {
  return { path: formatPath(path), message };
}
