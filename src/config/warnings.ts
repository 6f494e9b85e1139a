import { formatPath, type Path, type Problem, serverNames, textAt, valueAt } from "./problems.ts";
import { defaults } from "./schema.ts";

/** What works, but may not be meant. Looks at the document whether or not the schema accepts all of it. */
export function warnings(document: unknown): readonly Problem[] {
  return [
    ...exposure(document),
    ...volatility(document),
    ...serverNames(document).flatMap((name) => deadRules(document, ["servers", name, "tools"])),
  ];
}

function exposure(document: unknown): readonly Problem[] {
  const host = textAt(document, ["listen", "host"]) ?? defaults.listen.host;
  if (isLoopback(host)) return [];
  const anonymous = `callers are anonymous, and ${host} can be reached by others: whoever knows a task id has the task`;
  const unnamed = `not given, and ${host} can be reached by others: name the hosts that requests may be addressed to`;
  const hasHosts = valueAt(document, ["listen", "allowedHosts"]) !== undefined;
  return [
    warning(["callers", "identify"], anonymous),
    ...(hasHosts ? [] : [warning(["listen", "allowedHosts"], unnamed)]),
  ];
}

/** Whether only this machine can reach the address. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

function volatility(document: unknown): readonly Problem[] {
  return textAt(document, ["store", "url"]) === "memory:"
    ? [warning(["store", "url"], "memory: loses every task when the gateway stops")]
    : [];
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

function warning(path: Path, message: string): Problem {
  return { path: formatPath(path), message };
}
