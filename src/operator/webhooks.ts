import type { SubscriptionCounts } from "../admin/admin.ts";
import type { Flags } from "../config/flags.ts";
import { EXIT } from "../exit-codes.ts";
import type { Undelivered, WebhookStatus } from "../webhooks/webhooks.ts";
import { misuse, print, type Terminal, withApi } from "./command.ts";
import { table } from "./table.ts";

const ACTIONS = ["list", "undelivered", "redeliver", "test"] as const;

/** `mcp-taskgate webhooks`. Returns the exit code. */
export async function runWebhooks(
  flags: Flags,
  env: Readonly<Record<string, string | undefined>>,
  terminal: Terminal,
): Promise<number> {
  const { action, name, event } = flags;
  const wanted = ACTIONS.find((each) => each === action);
  if (wanted === undefined) return misuse(terminal, `give an action: ${ACTIONS.join(", ")}`);
  if (wanted !== "list" && typeof name !== "string")
    return misuse(terminal, `give the name of a webhook: webhooks ${wanted} NAME`);
  if (wanted === "list" && name !== undefined) return misuse(terminal, "webhooks list takes no name");
  if (wanted !== "redeliver" && event !== undefined)
    return misuse(terminal, "only webhooks redeliver takes an event");
  const path = `webhooks/${encodeURIComponent(String(name))}`;
  return withApi(flags, env, terminal, async (client) => {
    switch (wanted) {
      case "list": {
        const answer = (await client.get("webhooks")) as {
          readonly webhooks: readonly WebhookStatus[];
          readonly subscriptions?: SubscriptionCounts;
        };
        return print(flags, terminal, answer, () => [
          ...statusLines(answer.webhooks),
          ...subscriptionLines(answer.subscriptions),
        ]);
      }
      case "undelivered": {
        const answer = (await client.get(`${path}/undelivered`)) as {
          readonly events: readonly Undelivered[];
        };
        return print(flags, terminal, answer, () => undeliveredLines(answer.events));
      }
      case "redeliver": {
        const which = typeof event === "string" ? `?event=${encodeURIComponent(event)}` : "";
        const answer = (await client.post(`${path}/redeliver${which}`)) as { readonly events: number };
        print(flags, terminal, answer, () => [takenUpLine(answer.events)]);
        return answer.events === 0 && event !== undefined ? EXIT.failed : EXIT.done;
      }
      case "test": {
        const answer = (await client.post(`${path}/test`)) as Tested;
        print(flags, terminal, answer, () => [testLine(answer)]);
        return answer.kind === "accepted" ? EXIT.done : EXIT.failed;
      }
    }
  });
}

interface Tested {
  readonly kind: "accepted" | "refused" | "unreachable";
  readonly status?: number;
  readonly reason?: string;
}

function testLine({ kind, status, reason }: Tested): string {
  if (kind === "unreachable") return `the receiver cannot be reached: ${reason}`;
  return `the receiver ${kind === "accepted" ? "takes" : "refuses"} events: it answered ${status}`;
}

function takenUpLine(events: number): string {
  if (events === 0) return "nothing of that was given up: see webhooks undelivered NAME";
  return `${events} ${events === 1 ? "event is" : "events are"} tried again: webhooks list says with what success`;
}

function statusLines(webhooks: readonly WebhookStatus[]): readonly string[] {
  const rows = webhooks.map(({ name, url, waiting, undelivered, failures, failure, deliveredAt = "" }) => [
    name,
    failures === 0 ? "" : `${failures} in a row failed: ${failure}`,
    String(waiting),
    String(undelivered),
    deliveredAt,
    url,
  ]);
  return table(["WEBHOOK", "FAILURES", "WAITING", "GIVEN UP", "LAST DELIVERED", "URL"], rows);
}

function subscriptionLines(counts: SubscriptionCounts | undefined): readonly string[] {
  if (counts === undefined) return [];
  const { total, here } = counts;
  return [
    `${total} ${total === 1 ? "subscription" : "subscriptions"} of clients, ${here} of them delivered here`,
  ];
}

function undeliveredLines(events: readonly Undelivered[]): readonly string[] {
  const rows = events.map(({ event, task, kind, at, attempts, failure = "" }) => [
    event,
    task,
    kind,
    at,
    String(attempts),
    failure,
  ]);
  return table(["EVENT", "TASK", "WHAT", "HAPPENED", "TRIES", "WHY"], rows);
}
