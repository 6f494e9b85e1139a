import { structuredPatch } from "diff";
import { formatPath, withoutCredentials } from "../config/problems.ts";
import { readable } from "../log/one-line.ts";
import { isObject } from "../protocol/jsonrpc.ts";
import type { Change } from "./plan.ts";

/** A shorter value is no secret, and would be found in other words. */
const MIN_SECRET_CHARS = 4;
/** Fields whose values are no secrets; what stands in other fields is not shown. */
const PLAIN = new Set([
  ...["command", "cmd", "args", "type", "transport", "cwd", "working_directory", "name", "description"],
  ...["tools", "includeTools", "excludeTools", "autoApprove", "alwaysAllow", "disabledTools"],
  ...["enabled_tools", "disabled_tools", "available_tools", "env_vars", "env_keys", "env_http_headers"],
  ...["bearer_token_env_var", "url", "httpUrl", "serverUrl", "uri", "baseUrl", "ws_url", "title"],
]);

/** The change of one entry as a unified diff, without values that may be secrets. */
export function diffLines(file: string, { entry, now, before, after }: Change): readonly string[] {
  const hide = hider([entry.value, now]);
  const { hunks } = structuredPatch("", "", hide(before), hide(after), "", "", { context: 3 });
  const lines = hunks.flatMap((hunk) => hunk.lines).filter((line) => !line.startsWith("\\"));
  return [`${file}: ${formatPath(entry.path)}`, ...lines.map((line) => `  ${line}`)].map(readable);
}

/** Replaces what may be secret in texts about an entry with these values. */
function hider(values: readonly unknown[]): (text: string) => string {
  const secrets = values
    .flatMap((value) => (isObject(value) ? Object.entries(value) : []))
    .flatMap(([key, each]) => (PLAIN.has(key) ? urlsIn(each) : textsIn(each)))
    .filter((text) => text.length >= MIN_SECRET_CHARS)
    .sort((one, other) => other.length - one.length);
  const forms = secrets.flatMap((secret) => {
    const shown = withoutCredentials(secret);
    const instead = shown !== secret && secret.includes("://") ? shown : "…";
    return [[JSON.stringify(secret).slice(1, -1), instead] as const, [secret, instead] as const];
  });
  return (text) =>
    forms.reduce((before, [secret, instead]) => before.replaceAll(secret, () => instead), text);
}

function urlsIn(value: unknown): readonly string[] {
  return textsIn(value).filter((text) => text.includes("://") && withoutCredentials(text) !== text);
}

function textsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isObject(value) ? Object.values(value).flatMap(textsIn) : [];
}
