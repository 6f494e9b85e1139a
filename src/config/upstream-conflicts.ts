import { formatPath, type Path, type Problem, textAt, valueAt } from "./problems.ts";
import { COMMAND_SETTINGS, COMMAND_TRANSPORT, URL_SETTINGS } from "./upstream-settings.ts";

/** Settings of a server's `upstream` that contradict each other: it has either a URL or a command. */
export function upstreamConflicts(document: unknown, path: Path): readonly Problem[] {
  const upstream = valueAt(document, path);
  if (typeof upstream !== "object" || upstream === null || Array.isArray(upstream)) return [];
  const [hasUrl, hasCommand] = [Object.hasOwn(upstream, "url"), Object.hasOwn(upstream, "command")];
  if (hasUrl && hasCommand)
    return [{ path: formatPath(path), message: "has url and command, and can have only one of them" }];
  if (!hasUrl && !hasCommand)
    return [{ path: formatPath(path), message: "must have url, or command for a server to be started" }];
  const found = [...(hasUrl ? withUrl(upstream) : withCommand(upstream)), ...besidesSingle(upstream)];
  return found.map(([name, message]) => ({ path: formatPath([...path, name]), message }));
}

type Found = readonly [setting: string, message: string];

function withUrl(upstream: object): readonly Found[] {
  const found = strangers(upstream, COMMAND_SETTINGS, "goes with command, and this server has a url");
  return textAt(upstream, ["transport"]) === COMMAND_TRANSPORT
    ? [...found, ["transport", "stdio goes with command, and this server has a url"]]
    : found;
}

function withCommand(upstream: object): readonly Found[] {
  const transport = textAt(upstream, ["transport"]) ?? COMMAND_TRANSPORT;
  const found = strangers(upstream, URL_SETTINGS, "goes with url, and this server has a command");
  if (transport !== COMMAND_TRANSPORT)
    found.push(["transport", `${transport} goes with url, and this server has a command`]);
  return found;
}

function besidesSingle(upstream: object): readonly Found[] {
  const maxSessions = Number(valueAt(upstream, ["maxSessions"]) ?? 1);
  const isMore = textAt(upstream, ["sessions"]) === "single" && maxSessions > 1;
  return isMore ? [["maxSessions", `${maxSessions} contradicts sessions: single, which is one session`]] : [];
}

function strangers(upstream: object, settings: readonly string[], message: string): Found[] {
  return settings.filter((name) => Object.hasOwn(upstream, name)).map((name) => [name, message]);
}
