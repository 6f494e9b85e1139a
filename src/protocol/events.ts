import { RpcError, rpc } from "./errors.ts";
import { isObject, type JsonObject } from "./jsonrpc.ts";

/** The Events extension, as far as it can be read (SEP-3415, draft): its webhook mode. */
export const EVENTS_EXTENSION = "io.modelcontextprotocol/events";
export const EVENTS_METHODS = ["events/list", "events/subscribe", "events/unsubscribe"] as const;

/**
 * Which numbers the extension's errors have: `sketch`, those of its design sketch, which clients knew first, or `sep`, those of the
 * proposal. The final ones are not known.
 */
export type EventsErrorNumbers = "sketch" | "sep";

const NUMBERS = {
  notFound: { sketch: -32011, sep: -32023 },
  forbidden: { sketch: -32012, sep: -32024 },
  resourceExhausted: { sketch: -32013, sep: -32025 },
  unsupported: { sketch: -32014, sep: -32026 },
  callbackEndpoint: { sketch: -32015, sep: -32027 },
} as const satisfies Readonly<Record<string, Readonly<Record<EventsErrorNumbers, number>>>>;

/** Why a receiver cannot be told of events. */
export type CallbackFault =
  | "connection_refused"
  | "timeout"
  | "tls_error"
  | "http_4xx"
  | "http_5xx"
  | "challenge_failed";

/** The extension's errors by name. `-32602` is the same in both numberings. */
export function eventsErrors(numbers: EventsErrorNumbers) {
  const error = (name: keyof typeof NUMBERS, message: string, data?: JsonObject) =>
    new RpcError({ code: NUMBERS[name][numbers], message, ...(data === undefined ? {} : { data }) });
  return {
    invalidParams: rpc.invalidParams,
    notFound: (kind: "event" | "subscription" | "task") =>
      error("notFound", `There is no such ${kind}`, { kind }),
    forbidden: () =>
      error(
        "forbidden",
        "Forbidden: only callers that are told apart have subscriptions, and this one is anonymous",
      ),
    exhausted: (limit: string, max: number) =>
      error("resourceExhausted", `Limit exceeded: ${limit} is ${max}`, { limit, max }),
    unsupported: (feature: string, value: string) =>
      error("unsupported", `Unsupported: ${feature} is ${JSON.stringify(value.slice(0, 100))}`, {
        feature,
        value: value.slice(0, 100),
      }),
    callback: (reason: CallbackFault) =>
      error("callbackEndpoint", `The receiver could not be verified: ${reason}`, { reason }),
  };
}

export type EventsErrors = ReturnType<typeof eventsErrors>;

export function isEventsMethod(method: unknown): method is (typeof EVENTS_METHODS)[number] {
  return (EVENTS_METHODS as readonly unknown[]).includes(method);
}

/** Whether a server tells of events of its own: some clients look for the one, others for the other. */
export function declaresEvents({ events, extensions }: JsonObject): boolean {
  return events !== undefined || (isObject(extensions) && extensions[EVENTS_EXTENSION] !== undefined);
}

/** A server's capabilities plus events, which the gateway provides. */
export function withEvents(capabilities: JsonObject): JsonObject {
  const { extensions } = capabilities;
  return {
    ...capabilities,
    events: {},
    extensions: { ...(isObject(extensions) ? extensions : {}), [EVENTS_EXTENSION]: {} },
  };
}
