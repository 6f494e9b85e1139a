import { callerConflicts } from "./caller-settings.ts";
import { eventConflicts } from "./event-settings.ts";
import { limitConflicts } from "./limit-settings.ts";
import { formatPath, type Path, type Problem, serverNames, textAt, valueAt } from "./problems.ts";
import { defaults } from "./schema.ts";
import { storeConflicts } from "./store-settings.ts";
import { tlsConflicts } from "./tls-settings.ts";
import { parseDuration } from "./units.ts";
import { upstreamConflicts } from "./upstream-conflicts.ts";
import { webhookConflicts } from "./webhook-settings.ts";

/** Paths that belong to the gateway, with everything below them. */
const RESERVED = ["/.well-known", "/health", "/metrics"];

/**
 * Settings that contradict each other. Checks the document even if the schema rejects some of it, so that one run reports everything.
 */
export function conflicts(document: unknown): readonly Problem[] {
  return [
    ...sharedListener(document),
    ...takenPaths(document),
    ...readyPath(document),
    ...tlsConflicts(document),
    ...callerConflicts(document),
    ...storeConflicts(document),
    ...limitConflicts(document),
    ...webhookConflicts(document),
    ...eventConflicts(document),
    ...serverNames(document).flatMap((name) => [
      ...upstreamConflicts(document, ["servers", name, "upstream"]),
      ...repeatedHeaders(document, ["servers", name, "upstream", "headers"]),
      ...pollOrder(document, ["servers", name, "tasks"]),
      ...rulePaths(document, name).flatMap((rule) => pollOrder(document, rule)),
    ]),
  ];
}

function sharedListener(document: unknown): readonly Problem[] {
  const port = valueAt(document, ["admin", "port"]);
  const listenPort = valueAt(document, ["listen", "port"]) ?? defaults.listen.port;
  const host = textAt(document, ["admin", "host"]) ?? defaults.admin.host;
  const listenHost = textAt(document, ["listen", "host"]) ?? defaults.listen.host;
  const isShared = String(port) === String(listenPort) && String(port) !== "0" && host === listenHost;
  return isShared ? [conflict(["admin", "port"], `${port} is the port of listen on the same host`)] : [];
}

function takenPaths(document: unknown): readonly Problem[] {
  const owners = new Map<string, string>();
  return serverNames(document).flatMap((name) => {
    const path = textAt(document, ["servers", name, "path"]) ?? `/${name}/mcp`;
    const owner = owners.get(path);
    if (owner === undefined) owners.set(path, name);
    const isReserved = RESERVED.some((taken) => path === taken || path.startsWith(`${taken}/`));
    return [
      ...(owner === undefined ? [] : [`${path} is already the path of servers.${owner}`]),
      ...(isReserved ? [`${path} belongs to the gateway, like everything below ${RESERVED.join(", ")}`] : []),
    ].map((message) => conflict(["servers", name, "path"], message));
  });
}

/** The gateway's own path must keep clients from no path of a server's. */
function readyPath(document: unknown): readonly Problem[] {
  const setting = ["listen", "readyPath"];
  const path = textAt(document, setting) ?? defaults.listen.readyPath;
  const names = serverNames(document);
  const isBelow = (above: string) => path === above || path.startsWith(`${above}/`);
  return [
    ...(isBelow("/.well-known") ? [conflict(setting, "/.well-known has the documents of the servers")] : []),
    ...names.flatMap((name) => {
      const given = textAt(document, ["servers", name, "path"]);
      const paths = [given ?? `/${name}/mcp`, ...(names.length === 1 ? ["/mcp"] : [])];
      const taken = paths.find((each) => each !== "/" && isBelow(each));
      return taken === undefined
        ? []
        : [
            conflict(
              setting,
              `${path} would hide what servers.${name} has at ${taken} and below; choose another, or none`,
            ),
          ];
    }),
  ];
}

function repeatedHeaders(document: unknown, path: Path): readonly Problem[] {
  const headers = valueAt(document, path);
  const names = typeof headers === "object" && headers !== null ? Object.keys(headers) : [];
  const lower = names.map((name) => name.toLowerCase());
  return names
    .filter((name, index) => lower.indexOf(name.toLowerCase()) < index)
    .map((name) => conflict([...path, name], "is given twice, because upper and lower case are the same"));
}

/** Compares only intervals of one section: `resolve` adjusts inherited ones. */
function pollOrder(document: unknown, path: Path): readonly Problem[] {
  const first = parseDuration(textAt(document, [...path, "pollInterval"]) ?? "");
  const last = parseDuration(textAt(document, [...path, "maxPollInterval"]) ?? "");
  return first !== undefined && last !== undefined && first > last
    ? [conflict([...path, "pollInterval"], "must not be longer than maxPollInterval")]
    : [];
}

function rulePaths(document: unknown, name: string): readonly Path[] {
  const rules = valueAt(document, ["servers", name, "tools"]);
  return Array.isArray(rules) ? rules.map((_, index) => ["servers", name, "tools", index]) : [];
}

function conflict(path: Path, message: string): Problem {
  return { path: formatPath(path), message };
}
