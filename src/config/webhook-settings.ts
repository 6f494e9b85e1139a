import { z } from "zod";
import { isLoopback } from "../protocol/loopback.ts";
import { httpUrl, serverName } from "./addresses.ts";
import type { WebhookConfig, WebhookEvent } from "./config.ts";
import { choice, duration, flag, integer, list, section, setting, text } from "./fields.ts";
import { formatPath, type Path, type Problem, serverNames, textAt, valueAt } from "./problems.ts";
import { toolGlob } from "./tool-glob.ts";

const EVENTS = [
  "created",
  "input_required",
  "progress",
  "completed",
  "failed",
  "cancelled",
  "lost",
] as const satisfies readonly WebhookEvent[];

export const webhookDefaults = {
  events: ["input_required", "completed", "failed", "cancelled", "lost"],
  servers: [],
  tools: [],
  include: "status",
  attempts: 10,
  timeout: "15s",
  insecure: false,
} as const;

const MAX_WEBHOOKS = 20;
const SECRET = "a secret of 24 to 64 bytes as Standard Webhooks has them: whsec_ and base64";

const webhook = section({
  url: httpUrl().meta({ description: "Where the gateway posts events to: https, or http on loopback." }),
  secret: secret().meta({
    description: `Signs each event: ${SECRET}. Take it from the environment or from a file.`,
  }),
  previousSecret: setting(
    secret(),
    "While the receiver changes to another `secret`: the one before, which signs each event as well.",
  ),
  events: setting(
    list(choice(EVENTS)),
    `Of which events the receiver is told: ${EVENTS.map((event) => `\`${event}\``).join(", ")}.`,
    webhookDefaults.events,
  ),
  servers: setting(
    list(text("the name of a server").meta({ values: "server" })),
    "Tasks of which servers; of all unless given.",
    webhookDefaults.servers,
  ),
  tools: setting(
    list(toolGlob().meta({ values: "glob" })),
    "Calls of which tools, as globs; of all unless given.",
    webhookDefaults.tools,
  ),
  include: setting(
    choice(["status", "result"]),
    "`status`: an event says how it stands with the task, and nothing that server and client tell each other. `result`: it also has the result or the error, up to 256 KB in all.",
    webhookDefaults.include,
  ),
  attempts: setting(
    integer(1, 10),
    "How often the gateway tries to deliver an event: at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h. What then has not been accepted is kept for a week, for `mcp-taskgate webhooks redeliver`.",
    webhookDefaults.attempts,
  ),
  timeout: setting(
    duration({ min: "100ms", max: "1m" }),
    "How long the receiver may take to answer.",
    webhookDefaults.timeout,
  ),
  insecure: setting(
    flag(),
    "Whether `url` may be http on another machine: whoever is on the way then reads the events.",
    webhookDefaults.insecure,
  ),
});

export const webhooksSection = z
  .record(serverName(), webhook, { error: "must be a mapping from names to webhooks" })
  .refine((webhooks) => Object.keys(webhooks).length <= MAX_WEBHOOKS, {
    error: `must have ${MAX_WEBHOOKS} webhooks at most`,
  });

type WebhooksFile = z.output<typeof webhooksSection>;

export function resolveWebhooks(given: WebhooksFile = {}): readonly WebhookConfig[] {
  const { insecure: _, timeout: preset, ...defaults } = webhookDefaults;
  return Object.entries(given).map(([name, webhook]) => {
    const { secret, previousSecret, timeout, insecure: __, ...rest } = webhook;
    return {
      ...defaults,
      ...rest,
      name,
      secrets: [secret, ...(previousSecret === undefined ? [] : [previousSecret])],
      timeoutMs: timeout ?? duration().parse(preset),
    };
  });
}

export function webhookConflicts(document: unknown): readonly Problem[] {
  const webhooks = valueAt(document, ["webhooks"]);
  if (typeof webhooks !== "object" || webhooks === null) return [];
  const known = serverNames(document);
  return Object.keys(webhooks).flatMap((name) => {
    const path: Path = ["webhooks", name];
    const servers = valueAt(document, [...path, "servers"]);
    const named = Array.isArray(servers) ? servers : [];
    return [
      ...clearText(document, path),
      ...named.flatMap((server, index) =>
        known.includes(server)
          ? []
          : [
              {
                path: formatPath([...path, "servers", index]),
                message: `must be the name of a server; there are ${known.join(", ")}`,
              },
            ],
      ),
    ];
  });
}

function clearText(document: unknown, path: Path): readonly Problem[] {
  const url = textAt(document, [...path, "url"]) ?? "";
  if (!URL.canParse(url) || String(valueAt(document, [...path, "insecure"])) === "true") return [];
  const { protocol, hostname } = new URL(url);
  if (protocol !== "http:" || isLoopback(hostname)) return [];
  return [
    { path: formatPath([...path, "url"]), message: "must be https, or http on loopback (or set insecure)" },
  ];
}

function secret() {
  return text(SECRET, isSecret).meta({ values: "secret" });
}

function isSecret(given: string): boolean {
  const encoded = given.startsWith("whsec_") ? given.slice("whsec_".length) : "";
  const bytes = Buffer.from(encoded, "base64");
  return bytes.toString("base64") === encoded && bytes.length >= 24 && bytes.length <= 64;
}
