import { hostName } from "./addresses.ts";
import { callerDefaults } from "./caller-settings.ts";
import type { EventsConfig } from "./config.ts";
import { choice, duration, integer, list, section, setting } from "./fields.ts";
import { formatPath, type Path, type Problem, textAt, valueAt } from "./problems.ts";
import { storeDefaults } from "./store-settings.ts";

export const eventDefaults = {
  subscriptions: "off",
  errorNumbers: "sketch",
  maxSubscriptions: 1_000,
  maxPerCaller: 20,
  maxTtl: "1d",
  timeout: "5s",
  allowHosts: [],
} as const;

export const eventsSection = section({
  subscriptions: setting(
    choice(["off", "on"]),
    "`on`: clients of 2026-07-28 that are told apart may give a URL at which the gateway tells them when their tasks end or ask for something (MCP Events, webhook mode).",
    eventDefaults.subscriptions,
  ),
  errorNumbers: setting(
    choice(["sketch", "sep"]),
    "Which numbers the errors of the extension have, until the final ones are known: those of its design sketch (-32011 to -32015), which ChatGPT knows, or those of SEP-3415 (-32023 to -32027).",
    eventDefaults.errorNumbers,
  ),
  maxSubscriptions: setting(
    integer(1, 10_000),
    "How many subscriptions all callers together may have.",
    eventDefaults.maxSubscriptions,
  ),
  maxPerCaller: setting(
    integer(1, 100),
    "How many subscriptions one caller may have at one server.",
    eventDefaults.maxPerCaller,
  ),
  maxTtl: setting(
    duration({ min: "10m", max: "7d" }),
    "For how long the gateway grants a subscription at most. Its client has to ask again before.",
    eventDefaults.maxTtl,
  ),
  timeout: setting(
    duration({ min: "100ms", max: "30s" }),
    "How long a client's receiver may take to answer.",
    eventDefaults.timeout,
  ),
  allowHosts: setting(
    list(hostName()),
    "Hosts, without port, that clients may name in a URL although they have no public address: receivers of your own. Of these, loopback may be http.",
    eventDefaults.allowHosts,
  ),
});

type EventsFile = ReturnType<typeof eventsSection.parse>;

/** `undefined`: clients have no subscriptions. */
export function resolveEvents(given: EventsFile = {}): EventsConfig | undefined {
  const { subscriptions, maxTtl, timeout, allowHosts, ...rest } = { ...eventDefaults, ...given };
  if (subscriptions === "off") return undefined;
  const ms = (value: string | number) => (typeof value === "number" ? value : duration().parse(value));
  return { ...rest, maxTtlMs: ms(maxTtl), timeoutMs: ms(timeout), allowedHosts: allowHosts };
}

export function eventConflicts(document: unknown): readonly Problem[] {
  if (textAt(document, ["events", "subscriptions"]) !== "on") return [];
  const path: Path = ["events", "subscriptions"];
  const problem = (message: string): Problem => ({ path: formatPath(path), message });
  const url = textAt(document, ["store", "url"]) ?? storeDefaults.url;
  const isSealed = valueAt(document, ["store", "encryptionKeys"]) !== undefined;
  const identify = textAt(document, ["callers", "identify"]) ?? callerDefaults.identify;
  return [
    ...(isSealed || url === "memory:"
      ? []
      : [
          problem(
            "needs store.encryptionKeys: a subscription has its client's secret, which a store without keys would show to whoever can read it",
          ),
        ]),
    ...(identify === "anonymous"
      ? [problem("needs callers that are told apart, and callers.identify is anonymous")]
      : []),
  ];
}
